"""A rule that looks at the body of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sagedock.check.rules.rule import Rule, always
from sagedock.check.subjects.request import Request
from sagedock.check.target import Target


@dataclass(frozen=True)
class RequestRule(Rule[Request]):
    """Looks at the body of a request; `beside` is another one that its examples go with."""

    beside: str = ""
    skips: Callable[[Request, Target], str] = always

    kind = "request"
    language = "json"


def only_for(*operations: str) -> Callable[[Request, Target], str]:
    """Skips bodies of other operations."""

    def skips(request: Request, target: Target) -> str:
        return "" if request.operation in operations else f"is about {' and '.join(operations)}"

    return skips
