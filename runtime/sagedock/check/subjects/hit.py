"""Where in a subject a rule is broken."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from sagedock.check.findings import Level
from sagedock.check.subjects.module import Module


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a rule is broken. `level` where it is another than the rule's own; `source`
    is the line itself; `pointer` names the place within a JSON document (RFC 6901)."""

    file: str
    line: int
    column: int
    message: str
    level: Level | None = None
    source: str = ""
    pointer: str = ""

    @classmethod
    def at(cls, module: Module, node: ast.AST, message: str, level: Level | None = None) -> Hit:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return cls.on(module, line, column + 1, message, level)

    @classmethod
    def on(
        cls, module: Module, line: int, column: int, message: str, level: Level | None = None
    ) -> Hit:
        source = module.lines[line - 1] if 0 < line <= len(module.lines) else ""
        return cls(module.file, line, column, message, level, source)


Hits = Iterator[Hit]
