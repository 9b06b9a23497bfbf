"""Who of a script names the folder that becomes model.tar.gz."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Sequence

from sagedock.check.subjects.module import Module, text_of
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import texts_of

FOLDER = r"model[-_]?dir|model[-_]?path|/opt/ml/model|opt/ml/?[\"'{]|[\"']model/"


def takes_all(module: Module) -> bool:
    """Whether SM_TRAINING_ENV goes somewhere as a whole, and not by a name in it."""
    for node in module.nodes:
        if text_of(node) != "SM_TRAINING_ENV":
            continue
        above = [a for a in module.around(node) if isinstance(a, ast.expr)]
        if len(above) < 3 or not isinstance(above[2], ast.Subscript):
            return True
    return False


def code_of(script: Script) -> str:
    """The scripts' text without comments."""
    return "\n".join(ast.unparse(m.tree) for m in script.modules if m.tree is not None)


def names_folder(node: ast.AST) -> bool:
    return bool(re.search(rf"{FOLDER}|SM_MODEL", ast.unparse(node), re.IGNORECASE))


def names_outside(
    module: Module, aside: Sequence[ast.AST], arguments: Collection[str] = ()
) -> bool:
    """Whether anything but these names the folder, or an argument that holds it; what only stands
    there as a text does nothing."""
    declared = {node for one in aside for node in ast.walk(one)}
    for node in module.nodes:
        if isinstance(node, ast.Constant) and isinstance(module.parents.get(node), ast.Expr):
            continue
        named = isinstance(node, (ast.Name, ast.Attribute, ast.Constant, ast.arg, ast.keyword))
        if not named or node in declared:
            continue
        told = getattr(node, "attr", text_of(node)) or getattr(node, "arg", None)
        if told in arguments or names_folder(node):
            return True
    return False


def hands_on(script: Script) -> bool:
    """Whether all arguments together go to something that is not in these files, or nobody knows
    where they go."""
    is_known = False
    for module in script.modules:
        texts = texts_of(module)
        for call in module.calls:
            is_known = is_known or texts.parses(call)
            given = [*call.args, *(keyword.value for keyword in call.keywords)]
            local = {*module.functions, "print"}.intersection([getattr(call.func, "id", "")])
            tells = module.dotted(call.func).startswith("log")
            all_of_them = any(texts.is_namespace(one) or texts.parses(one) for one in given)
            if all_of_them and not local and not tells:
                return True
    return not is_known
