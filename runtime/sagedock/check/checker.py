"""One check: which rules look at which script, and what they find."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sagedock.check.findings import Finding, Looked, Report
from sagedock.check.rule import Hit, Rule
from sagedock.check.rules import RULES
from sagedock.check.script import Script, read
from sagedock.check.target import Target

_NOQA = re.compile(r"#\s*noqa:\s*([A-Z0-9, ]+)")


@dataclass(frozen=True, slots=True)
class Choice:
    """Ids of the rules that look (all but the ignored where None) and of those only warned of."""

    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    warn: frozenset[str] = frozenset()

    def takes(self, rule: Rule) -> bool:
        return (self.select is None or rule.id in self.select) and rule.id not in self.ignore


def check(
    path: Path,
    *,
    entry_point: str | None = None,
    target: Target | None = None,
    choice: Choice | None = None,
) -> Report:
    """Look at the script or folder; nothing of it is run. Raises CheckError where there is
    nothing to look at."""
    target, choice = target or Target(), choice or Choice()
    scripts = read(path, entry_point)
    findings: set[Finding] = set()
    looked: list[Looked] = []
    for script in scripts:
        for rule in RULES:
            if not choice.takes(rule):
                continue
            skipped = rule.skips(script, target)
            looked.append(Looked(rule.id, script.entry.file, skipped))
            if not skipped:
                findings.update(_found(rule, script, target, choice))
    ordered = sorted(findings, key=lambda f: (f.file, f.line, f.column, f.rule))
    return Report(tuple(ordered), tuple(looked), _described(path, scripts, target))


def _found(rule: Rule, script: Script, target: Target, choice: Choice) -> Iterator[Finding]:
    for hit in rule.check(script, target):
        source = _line(hit)
        allowed = _NOQA.search(source)
        if allowed is not None and rule.id in re.split(r"[,\s]+", allowed[1]):
            continue
        level = hit.level or rule.level
        yield Finding(
            rule=rule.id,
            name=rule.name,
            level="warning" if level == "error" and rule.id in choice.warn else level,
            file=hit.module.file,
            line=hit.line,
            column=hit.column,
            message=hit.message,
            cloud=rule.cloud,
            fix=rule.fix,
            url=rule.url,
            source=source,
        )


def _line(hit: Hit) -> str:
    lines = hit.module.lines
    return lines[hit.line - 1] if 0 < hit.line <= len(lines) else ""


def _described(path: Path, scripts: list[Script], target: Target) -> dict[str, object]:
    return {
        "path": path.as_posix(),
        "entry_points": [script.entry.file for script in scripts],
        "files": [module.file for script in scripts for module in script.modules],
        "contracts": [target.generation(script.entry) or "unknown" for script in scripts],
        "framework_version": target.framework_version,
        "instance_type": target.instance_type,
        "channels": None if target.channels is None else list(target.channels),
    }
