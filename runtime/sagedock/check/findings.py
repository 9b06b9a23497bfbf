"""What a check finds, and what it did and did not look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect. `line` and `column` count from 1; `source` is that line of the file. `pointer`
    names the place within a request (RFC 6901), "" elsewhere."""

    rule: str
    name: str
    level: Level
    file: str
    line: int
    column: int
    message: str
    cloud: str
    fix: str
    url: str
    source: str = ""
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """A rule that looked at a script, request, archive or run; `skipped` says why it could not, ""
    where it did."""

    rule: str
    subject: str
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of files and lines. Advice has no effect on `is_clean`."""

    findings: tuple[Finding, ...]
    checked: tuple[Looked, ...]
    target: Mapping[str, object]

    @property
    def is_clean(self) -> bool:
        return all(finding.level == "advice" for finding in self.findings)
