"""One parsed Python file and what rules ask of it: names, scopes, imports, what runs at import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from sagedock.check.subjects.words import words

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
Node = TypeVar("Node", bound=ast.AST)

IMAGE_PYTHON = (3, 8)
"""Of the last MXNet image, 1.9.0 (aws/deep-learning-containers, Dockerfile.cpu: 3.8.10)."""

HARMLESS = words(
    """
    logging os re collections typing json pathlib sys mxnet numpy warnings random time
    dataclasses enum functools itertools string datetime platform matplotlib
    """
)
"""Roots whose calls at the top of a module prepare and do not train."""

_ARGUMENT_LIBRARIES = {"argparse", "click", "optparse", "absl", "fire", "typer", "docopt"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module: `level` is the number of dots; `names` those of `from … import`."""

    module: str
    level: int
    names: tuple[str, ...]
    node: ast.Import | ast.ImportFrom


class Module:
    """`file` is how the report names it; `tree` is None where no Python 3 takes the text: `error`
    says why. `error_in_image` is what the image's Python says, which may take less."""

    def __init__(self, path: Path, file: str, text: str) -> None:
        self.path = path
        self.file = file
        self.text = text
        self.lines = text.splitlines()
        self.error: SyntaxError | None = None
        self.error_in_image: SyntaxError | None = None
        self.tree: ast.Module | None = None
        try:
            self.tree, self.error_in_image = _parsed(text)
        except SyntaxError as error:
            self.error = error
        except ValueError as error:  # null bytes
            self.error = SyntaxError(str(error), (file, 1, 1, ""))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """Every node but the module itself, outer before inner, with the one around it."""
        return _parents(self.tree) if self.tree else {}

    @cached_property
    def kinds(self) -> dict[type[ast.AST], list[ast.AST]]:
        """The nodes by their type, so that nobody goes through all of them for a few."""
        kinds: dict[type[ast.AST], list[ast.AST]] = {}
        for node in self.parents:
            kinds.setdefault(type(node), []).append(node)
        return kinds

    def every(self, kind: type[Node]) -> list[Node]:
        """All nodes of this very type, outer before inner."""
        return cast("list[Node]", self.kinds.get(kind, []))

    @property
    def calls(self) -> list[ast.Call]:
        return self.every(ast.Call)

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What encloses the node, the innermost first."""
        while (above := self.parents.get(node)) is not None:
            yield above
            node = above

    def scope(self, node: ast.AST) -> ast.AST:
        """The function around the node, or the module."""
        for above in self.around(node):
            if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                return above
        assert self.tree is not None
        return self.tree

    @cached_property
    def body(self) -> list[ast.stmt]:
        return self.tree.body if self.tree else []

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Functions at the module's top, also those under a top-level `if` or `try`."""
        return {
            s.name: s for s in self.top if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))
        }

    @cached_property
    def top(self) -> list[ast.stmt]:
        """Statements that run at import, those inside blocks too; not those of a main guard."""
        return list(_at_import(self.body))

    @cached_property
    def guards(self) -> list[ast.If]:
        """`if __name__ == "__main__":`, in any spelling."""
        return [s for s in self.body if isinstance(s, ast.If) and _tests_name(s.test)]

    @cached_property
    def bound(self) -> frozenset[str]:
        """Names that the module gives itself at its top."""
        names = {alias.asname or alias.name.partition(".")[0] for alias in self.every(ast.alias)}
        names |= {s.name for s in self.top if isinstance(s, (*_DEFINITIONS,))}
        for statement in self.top:
            if isinstance(statement, (ast.Assign, ast.AnnAssign)):
                names |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
        return frozenset(names)

    @cached_property
    def bound_anywhere(self) -> frozenset[str]:
        """Every name that any scope of the file binds: scopes are not told apart, for safety."""
        names = {name.id for name in self.every(ast.Name) if not isinstance(name.ctx, ast.Load)}
        names |= {alias.asname or alias.name.partition(".")[0] for alias in self.every(ast.alias)}
        names |= {argument.arg for argument in self.every(ast.arg)}
        names.update(*(told.names for told in self.every(ast.Global)))
        names.update(*(told.names for told in self.every(ast.Nonlocal)))
        return frozenset(names.union(*(_named(kind, nodes) for kind, nodes in self.kinds.items())))

    @cached_property
    def has_star_import(self) -> bool:
        return any(alias.name == "*" for alias in self.every(ast.alias))

    @cached_property
    def imports(self) -> list[Import]:
        found = []
        for node in self._import_statements:
            if isinstance(node, ast.Import):
                found += [Import(alias.name, 0, (), node) for alias in node.names]
            else:
                names = tuple(alias.name for alias in node.names)
                found.append(Import(node.module or "", node.level, names, node))
        return found

    @cached_property
    def _import_statements(self) -> list[ast.Import | ast.ImportFrom]:
        """In the order of the tree: the last one of a name is what the name means."""
        return [n for n in self.parents if isinstance(n, (ast.Import, ast.ImportFrom))]

    @cached_property
    def packages(self) -> frozenset[str]:
        """First parts of everything imported absolutely."""
        return frozenset(i.module.partition(".")[0] for i in self.imports if not i.level)

    @cached_property
    def _origins(self) -> dict[str, str]:
        origins = {}
        for node in self._import_statements:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    origins[name] = alias.name if alias.asname else name
            elif not node.level:
                for alias in node.names:
                    origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return origins

    def dotted(self, node: ast.AST) -> str:
        """`mx.gpu` is "mxnet.gpu" after `import mxnet as mx`; "" for what is no dotted name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._origins.get(node.id, node.id), *reversed(parts)])

    @cached_property
    def acts(self) -> list[ast.stmt]:
        """Statements at import, outside a guard, that do more than define and prepare."""
        return [statement for statement in self.top if self._acts(statement)]

    def _acts(self, statement: ast.stmt) -> bool:
        if isinstance(statement, (ast.For, ast.While, ast.With, ast.AsyncFor, ast.AsyncWith)):
            return True
        if not isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign)):
            return False
        called = [n for n in ast.walk(statement) if isinstance(n, ast.Call)]
        if isinstance(statement, ast.Expr):
            return any(self.dotted(c.func).partition(".")[0] not in HARMLESS for c in called)
        return any(self._does_work(call) for call in called)

    def _does_work(self, call: ast.Call) -> bool:
        """A function of this file, or a method that reads arguments or trains."""
        if isinstance(call.func, ast.Name):
            return call.func.id in self.functions
        name = getattr(call.func, "attr", "")
        return name in ("parse_args", "parse_known_args", "fit", "train", "run")

    @cached_property
    def reads_arguments(self) -> bool:
        if _ARGUMENT_LIBRARIES & self.packages:
            return True
        return bool(re.search(r"\bSM_[A-Z]|sys\.argv", self.text))


def _parsed(text: str) -> tuple[ast.Module, SyntaxError | None]:
    """The tree, and why the image's Python does not take the text. It is asked first: what it takes
    need not be parsed twice."""
    try:
        return ast.parse(text, feature_version=IMAGE_PYTHON), None
    except SyntaxError as error:
        return ast.parse(text), error


def _parents(tree: ast.Module) -> dict[ast.AST, ast.AST]:
    parents: dict[ast.AST, ast.AST] = {}
    found: list[ast.AST] = [tree]
    for node in found:  # which grows: all of one depth before what is in them
        for field in node._fields:
            value = getattr(node, field, None)
            for inner in value if isinstance(value, list) else (value,):
                # Without contexts and operators: Load and Add are one object in all places.
                if isinstance(inner, ast.AST) and (inner._fields or inner._attributes):
                    parents[inner] = node
                    found.append(inner)
    return parents


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _named(kind: type[ast.AST], nodes: list[ast.AST]) -> Iterator[str]:
    """Names that are plain texts in the tree: of definitions, handlers, patterns, type parameters;
    not of imports, which may bind another name."""
    for field in () if kind is ast.alias else {"name", "rest"}.intersection(kind._fields):
        yield from (name for n in nodes if isinstance(name := getattr(n, field, None), str))


def _at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If) and _tests_name(statement.test):
            yield from _at_import(statement.orelse)
            continue
        yield statement
        if isinstance(statement, ast.If):
            yield from _at_import([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handled = [s for handler in statement.handlers for s in handler.body]
            blocks = [*statement.body, *handled, *statement.orelse, *statement.finalbody]
            yield from _at_import(blocks)


def _tests_name(test: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(test))


def positional(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args]


def required(function: Function) -> list[ast.arg]:
    """Parameters without a default, keyword-only ones too."""
    arguments = function.args
    plain = positional(function)
    plain = plain[: len(plain) - len(arguments.defaults)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return [*plain, *(argument for argument, default in named if default is None)]


def text_of(node: ast.AST | None) -> str | None:
    """The text of a string literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None
