"""What a rule is: its words, its examples, and the function that looks."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sagedock.check.findings import Level
from sagedock.check.module import Module
from sagedock.check.script import Script
from sagedock.check.target import Target


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where a rule is broken. `level` where it is another than the rule's own."""

    module: Module
    line: int
    column: int
    message: str
    level: Level | None = None

    @classmethod
    def at(cls, module: Module, node: ast.AST, message: str, level: Level | None = None) -> Hit:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        return cls(module, line, column + 1, message, level)


Hits = Iterator[Hit]


def always(script: Script, target: Target) -> str:
    return ""


def needs_syntax(script: Script, target: Target) -> str:
    return "" if script.is_readable else "a file is no Python 3: see SD130 and SD131"


def needs_legacy(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    if target.generation(script.entry) != "legacy":
        return "is about legacy versions, up to 1.2.1"
    return "" if target.is_mxnet(script.entry) else "is about MXNet"


def needs_script_mode(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    is_script = target.generation(script.entry) == "script"
    return "" if is_script else "is about script mode, from version 1.3 on"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `check` yields the places; `skips` says why it cannot look, "" where it can.

    `failing` and `passing` are whole scripts, checked for `example`. `sources` tell how we know
    what the cloud does: a reported thread, or the file of AWS's container that does it.
    """

    id: str
    name: str
    level: Level
    sentence: str
    cloud: str
    fix: str
    failing: str
    passing: str
    sources: tuple[str, ...]
    check: Callable[[Script, Target], Hits]
    skips: Callable[[Script, Target], str] = needs_syntax
    example: Target = field(default_factory=Target)

    @property
    def url(self) -> str:
        """Its page, from the root of the repository."""
        return f"docs/rules/{self.id}.md"
