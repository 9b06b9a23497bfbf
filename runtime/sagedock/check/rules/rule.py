"""What a rule is: its words, its examples, and the function that looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from sagedock.check.findings import Level
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.script import Script
from sagedock.check.target import Target

Kind = Literal["script", "request", "artifact", "image", "training", "hosting", "isolation"]
"""What a rule looks at: a script, the body of a request, a model.tar.gz, a container image, a run
that trained, a model server that was asked, either of them without a network."""

Subject = TypeVar("Subject")


def always(subject: Any, target: Target) -> str:
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


@dataclass(frozen=True)
class Rule(Generic[Subject]):
    """One rule. `check` yields the places; `skips` says why it cannot look, "" where it can.

    `failing` and `passing` are whole examples in `language`, checked for `example`: scripts,
    request bodies, the commands that pack an archive, or Dockerfiles. `sources` tell how we know
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
    check: Callable[[Subject, Target], Hits]
    skips: Callable[[Subject, Target], str] = always
    example: Target = field(default_factory=Target)

    kind: ClassVar[Kind]
    language: ClassVar[Literal["python", "json", "sh", "dockerfile"]]

    @property
    def url(self) -> str:
        """Its page, from the root of the repository."""
        return f"docs/rules/{self.id}.md"


@dataclass(frozen=True)
class ScriptRule(Rule[Script]):
    """Looks at a script's text."""

    skips: Callable[[Script, Target], str] = needs_syntax

    kind = "script"
    language = "python"
