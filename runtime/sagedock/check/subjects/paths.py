"""Paths that an expression spells out: constants, joined and added up, and names given once."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType

from sagedock.check.subjects.module import Module, text_of

_DEEPEST = 8
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Paths:
    """Answers `text(expression)` for one module. `given` are names whose value is known, such as
    the parameter by which a container passes a folder."""

    def __init__(self, module: Module, given: Mapping[str, str] = _NOTHING) -> None:
        self.module = module
        self.given = given

    def text(self, node: ast.AST | None, depth: int = 0) -> str | None:
        """The text that the expression surely is; None where only the run knows it."""
        if depth > _DEEPEST or node is None:
            return None
        if isinstance(node, ast.Constant):
            return text_of(node)
        if isinstance(node, ast.Name):
            if node.id in self.given:
                return self.given[node.id]
            return self.text(self._values.get(node.id), depth + 1)
        if isinstance(node, ast.BinOp):
            return self._of_two(node, depth)
        if isinstance(node, ast.JoinedStr):
            return self._joined([self._piece(part, depth) for part in node.values], "")
        if isinstance(node, ast.Call):
            return self._called(node, depth)
        return None

    def _of_two(self, node: ast.BinOp, depth: int) -> str | None:
        if isinstance(node.op, ast.Mod):
            form, filled = self.text(node.left, depth + 1), self.text(node.right, depth + 1)
            is_one = form is not None and form.count("%") == form.count("%s") == 1
            return None if not is_one or filled is None else str(form) % filled
        pair = [self.text(side, depth + 1) for side in (node.left, node.right)]
        if isinstance(node.op, ast.Add):
            return self._joined(pair, "")
        return self._joined(pair, "/") if isinstance(node.op, ast.Div) else None

    def _piece(self, part: ast.AST, depth: int) -> str | None:
        if isinstance(part, ast.FormattedValue):
            is_plain = part.format_spec is None and part.conversion == -1
            return self.text(part.value, depth + 1) if is_plain else None
        return text_of(part)

    def _called(self, call: ast.Call, depth: int) -> str | None:
        if call.keywords or any(isinstance(a, ast.Starred) for a in call.args):
            return None
        name = self.module.dotted(call.func)
        given = [self.text(argument, depth + 1) for argument in call.args]
        if name in ("str", "os.fspath") and len(given) == 1:
            return given[0]
        if name in ("os.path.join", "pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"):
            return self._joined(given, "/") if given else None
        form = text_of(call.func.value) if isinstance(call.func, ast.Attribute) else None
        if form is not None and getattr(call.func, "attr", "") == "format" and len(given) == 1:
            is_one = form.count("{") == form.count("}") == 1 and ("{}" in form or "{0}" in form)
            return None if not is_one or given[0] is None else form.format(given[0])
        return None

    @staticmethod
    def _joined(parts: list[str | None], between: str) -> str | None:
        if any(part is None for part in parts):
            return None
        known = [part for part in parts if part is not None]
        return posixpath.join(*known) if between else "".join(known)

    @cached_property
    def _values(self) -> dict[str, ast.expr]:
        """Names that the whole file gives one value, and no loop or parameter another."""
        stored: dict[str, list[ast.expr | None]] = {}
        for name in self.module.every(ast.Name):
            if not isinstance(name.ctx, ast.Load):
                above = self.module.parents[name]
                is_plain = isinstance(above, ast.Assign) and above.targets == [name]
                value = above.value if is_plain and isinstance(above, ast.Assign) else None
                stored.setdefault(name.id, []).append(value)
        for argument in self.module.every(ast.arg):
            stored.setdefault(argument.arg, []).append(None)
        for alias in self.module.every(ast.alias):
            stored.setdefault(alias.asname or alias.name, []).append(None)
        return {name: v[0] for name, v in stored.items() if len(v) == 1 and v[0] is not None}
