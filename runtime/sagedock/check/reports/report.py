"""A report in the formats that people and machines read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import asdict

from sagedock.check.findings import Finding, Level, Report

Paint = Callable[[str, str], str]
"""(text, colour) → text; the colour is red, yellow, blue or bold."""

_COLOURS: dict[Level, str] = {"error": "red", "warning": "yellow", "advice": "blue"}


def plain(text: str, colour: str) -> str:
    return text


def text(report: Report, paint: Paint = plain) -> str:
    """For people: place and message, the line with a caret, the cloud's answer, the fix."""
    parts = [told(finding, paint) for finding in report.findings]
    parts += [paint(f"Not run: {sentence}.", "yellow") for sentence in report.not_run]
    return "\n\n".join([*parts, f"{_measured(report)}{_summary(report)}"])


def told(finding: Finding, paint: Paint = plain) -> str:
    """One finding, for people."""
    place = paint(f"{finding.file}:{finding.line}:{finding.column}", "bold")
    level = paint(f"{finding.level}[{finding.rule}]", _COLOURS[finding.level])
    lines = [f"{place}: {level} {finding.message}"]
    if finding.source.strip():
        lines += _excerpt(finding, paint)
    lines += [_wrapped("cloud", finding.cloud), _wrapped("fix", finding.fix)]
    return "\n".join(lines)


def _excerpt(finding: Finding, paint: Paint) -> list[str]:
    number = str(finding.line)
    margin = " " * len(number)
    before = finding.source[: finding.column - 1]
    caret = "".join("\t" if c == "\t" else " " for c in before) + paint("^", "bold")
    return [f" {number} | {finding.source}", f" {margin} | {caret}"]


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(
        text, width=96, initial_indent=f"  {name + ':':<7}", subsequent_indent=" " * 9,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _measured(report: Report) -> str:
    """What serving took here, in a line of its own; "" where nothing was served."""
    found = report.target.get("measured")
    if not isinstance(found, dict):
        return ""
    p50, p95 = (1000 * found[name] for name in ("p50_seconds", "p95_seconds"))
    parts = [f"/ping after {found['start_seconds']:.1f} s"]
    parts.append(f"{found['requests']} requests, {p50:.1f} ms median, {p95:.1f} ms p95")
    if memory := found.get("worker_memory_bytes"):
        parts.append(f"{memory / 2**20:.0f} MiB a worker")
    return f"Served here: {', '.join(parts)}.\n"


def _summary(report: Report) -> str:
    counts = dict.fromkeys(_COLOURS, 0)
    for finding in report.findings:
        counts[finding.level] += 1
    looked = len({looked.rule for looked in report.checked if not looked.skipped})
    rules = len({looked.rule for looked in report.checked})
    files = report.target["files"]
    assert isinstance(files, list)
    subjects = [_count(len(files), "file")] if files or "image" not in report.target else []
    subjects += ["1 image"] if "image" in report.target else []
    which = f"{looked} of {rules} rules on {' and '.join(subjects)}"
    if not report.findings:
        return f"No findings: {which}."
    found = ", ".join(_count(n, level) for level, n in counts.items() if n)
    return (
        f"Found {found}: {which}. `sagedock check --explain {report.findings[0].rule}` says more."
    )


def _count(number: int, name: str) -> str:
    plural = name if number == 1 or name == "advice" else f"{name}s"
    return f"{number} {plural}"


def as_json(report: Report) -> str:
    """One object: findings, checked, target."""
    document = {
        "findings": [
            {
                name: value
                for name, value in asdict(f).items()
                if name != "source" and (name != "pointer" or value)
            }
            for f in report.findings
        ],
        "checked": [asdict(looked) for looked in report.checked],
        "target": dict(report.target),
        **({"not_run": list(report.not_run)} if report.not_run else {}),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def github(report: Report) -> str:
    """Workflow commands: GitHub shows each at its line."""
    kinds: dict[Level, str] = {"error": "error", "warning": "warning", "advice": "notice"}
    found = [
        f"::{kinds[f.level]} file={_property(f.file)},line={f.line},col={f.column},"
        f"title={_property(f'{f.rule} {f.name}')}::"
        + _data(f"{f.message}\nCloud: {f.cloud}\nFix: {f.fix}")
        for f in report.findings
    ]
    return "\n".join([*found, *(f"::error::Not run: {_data(said)}" for said in report.not_run)])


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
