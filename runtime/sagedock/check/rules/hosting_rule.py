"""What a rule on a model server is, and what keeps it from looking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from sagedock.check.rules.rule import Rule, always
from sagedock.check.subjects.observations import Answer, Hosting
from sagedock.check.target import Target

TOOLKIT = "sagemaker-inference-toolkit transformer.py"


@dataclass(frozen=True)
class HostingRule(Rule[Hosting]):
    """Looks at what a server answered. `options` and `files` are those of its examples;
    `passing_options` where the second one is checked in another way."""

    skips: Callable[[Hosting, Target], str] = always
    options: tuple[str, ...] = ("--run", "--request", "one.json")
    passing_options: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=lambda: {"one.json": "[1, 2]\n"})

    kind = "hosting"
    language: ClassVar[Literal["python", "dockerfile"]] = "python"


@dataclass(frozen=True)
class ImageHostingRule(HostingRule):
    """Its examples are images: the servers of ours do not have such a defect."""

    options: tuple[str, ...] = ("--request", "one.json")

    language = "dockerfile"


def healthy(seen: Hosting, target: Target) -> str:
    return "the model server never became healthy: see SD501" if seen.trouble else ""


def good(seen: Hosting, target: Target) -> str:
    if reason := healthy(seen, target):
        return reason
    if not any(answer.sample.file for answer in seen.answers):
        return "needs --request"
    return "" if any(seen.good) else "no request is answered: see SD502 and SD503"


def shown(answer: Answer) -> str:
    """How a message names a request."""
    accept = f", Accept {answer.accept}" if answer.accept else ""
    return f"{Path(answer.sample.file).name} ({answer.sent_type or 'no Content-Type'}{accept})"
