"""Who of a script names the folder that becomes model.tar.gz."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from sagedock.check.subjects.module import Module, text_of
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import texts_of

FOLDER = re.compile(
    r"model[-_]?dir|model[-_]?path|/opt/ml/model|opt/ml/?[\"'{]|[\"']model/|SM_MODEL", re.IGNORECASE
)
"""How code names it: by variable, argument or path."""


def takes_all(module: Module) -> bool:
    """Whether SM_TRAINING_ENV goes somewhere as a whole, and not by a name in it."""
    for node in module.every(ast.Constant):
        if text_of(node) != "SM_TRAINING_ENV":
            continue
        above = [a for a in module.around(node) if isinstance(a, ast.expr)]
        if len(above) < 3 or not isinstance(above[2], ast.Subscript):
            return True
    return False


def code_of(script: Script) -> str:
    """The scripts' text without comments."""
    return "\n".join(ast.unparse(m.tree) for m in script.modules if m.tree is not None)


def names_outside(
    module: Module, aside: Sequence[ast.AST], arguments: Collection[str] = ()
) -> bool:
    """Whether anything but these names the folder, or an argument that holds it."""
    declared = {node for one in aside for node in ast.walk(one)}
    for node, word in _words(module):
        if node in declared:
            continue
        is_argument = not isinstance(node, ast.Name) and (text_of(node) or word) in arguments
        if is_argument or FOLDER.search(word):
            return True
    return False


def _words(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Names and texts, each with where it stands; what only stands there as a text does nothing."""
    yield from ((name, name.id) for name in module.every(ast.Name))
    yield from ((attribute, attribute.attr) for attribute in module.every(ast.Attribute))
    yield from ((argument, argument.arg) for argument in module.every(ast.arg))
    yield from ((keyword, keyword.arg) for keyword in module.every(ast.keyword) if keyword.arg)
    for constant in module.every(ast.Constant):
        is_text = isinstance(constant.value, (str, bytes))
        if is_text and not isinstance(module.parents[constant], ast.Expr):
            yield constant, repr(constant.value)


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
