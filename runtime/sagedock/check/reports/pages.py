"""One page a rule, from the catalogue: `python -m sagedock.check.reports.pages docs/rules`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sagedock.check.rules.catalogue import RULES
from sagedock.check.rules.hosting_rule import HostingRule
from sagedock.check.rules.isolation_rules import IsolationRule
from sagedock.check.rules.request_rule import RequestRule
from sagedock.check.rules.rule import Rule
from sagedock.check.rules.training_run_rules import TrainingRule


def page(rule: Rule[Any]) -> str:
    """The rule's page in Markdown; `--explain` prints the same."""
    sources = "\n".join(f"- {source}" for source in rule.sources)
    return (
        f"# {rule.id}: {rule.name}\n\n"
        f"{rule.sentence} Level: {rule.level}.\n\n"
        f"**In the cloud:** {rule.cloud}\n\n"
        f"**Fix:** {rule.fix}\n\n"
        f"## Found{_options(rule)}\n\n```{rule.language}\n{rule.failing}```\n\n"
        f"{_beside(rule)}{_files(rule)}"
        f"## Not found\n\n```{rule.language}\n{rule.passing}```\n\n"
        "## How we know\n\nReported failures of this kind, and where AWS's code or images show "
        f"it:\n\n{sources}\n"
    )


def _beside(rule: Rule[Any]) -> str:
    if not isinstance(rule, RequestRule) or not rule.beside:
        return ""
    return f"checked together with\n\n```json\n{rule.beside}```\n\n"


def _options(rule: Rule[Any]) -> str:
    """How the examples are checked, where it is not just by naming them."""
    target = rule.example
    given: list[str] = []
    if isinstance(rule, (TrainingRule, HostingRule, IsolationRule)):
        given += rule.options
    if target.framework_version:
        given += ["--framework-version", target.framework_version]
    if target.instance_type:
        given += ["--instance-type", target.instance_type]
    for channel in target.channels or ():
        given += ["--channel", channel]
    told = [f"`{' '.join(given)}`"] if given else []
    if target.hyperparameters:
        told.append(f"a job that passes `{'`, `'.join(target.hyperparameters)}`")
    return f", with {' and '.join(told)}" if told else ""


def _files(rule: Rule[Any]) -> str:
    """The other files that the options name, where they are short."""
    if not isinstance(rule, (TrainingRule, HostingRule, IsolationRule)):
        return ""
    told = ""
    for name, text in rule.files.items():
        shown = text if len(text) < 2000 else f"{text[:60]}…\n"
        told += f"`{name}`:\n\n```text\n{shown}```\n\n"
    return told


def index() -> str:
    """All rules in one table."""
    rows = [f"| [{r.id}]({r.id}.md) | {r.name} | {r.level} | {r.sentence} |" for r in RULES]
    head = ["# Rules of `sagedock check`", "", "| rule | name | level | |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.md").write_text(index(), encoding="utf-8")
    for rule in RULES:
        (folder / f"{rule.id}.md").write_text(page(rule), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
