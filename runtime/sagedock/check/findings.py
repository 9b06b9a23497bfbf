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
    """All findings in the order of files and lines. Advice has no effect on `is_clean`.
    `not_run` are sentences: what was to be run and could not be."""

    findings: tuple[Finding, ...]
    checked: tuple[Looked, ...]
    target: Mapping[str, object]
    not_run: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        return all(finding.level == "advice" for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 findings, 2 where there are none and not all could be checked."""
        if not self.is_clean:
            return 1
        return 2 if self.not_run else 0
