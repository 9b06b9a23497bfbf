"""The corpus: what fails in the cloud is found by its rule, and what does not yields nothing."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sagedock.check.checker import check
from sagedock.check.rules import RULES
from sagedock.check.target import Target

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
DEFECTIVE = sorted((CORPUS / "defective").iterdir())
CLEAN = sorted((CORPUS / "clean").iterdir())


def head(case: Path, name: str) -> str:
    """`# name: value` of the case's first lines."""
    text = (case / "train.py" if case.is_dir() else case).read_text(encoding="utf-8")
    found = re.search(rf"^# {name}: (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def target(case: Path) -> Target:
    words = shlex.split(head(case, "options"))
    given = list(zip(words[::2], words[1::2], strict=True))
    channels = tuple(value for name, value in given if name == "--channel")
    one = dict(given)
    return Target(one.get("--framework-version"), one.get("--instance-type"), channels or None)


@pytest.mark.parametrize("case", DEFECTIVE, ids=lambda case: case.stem)
def test_a_defect_is_found_by_its_rule_and_by_no_other(case: Path) -> None:
    found = check(case, target=target(case)).findings
    assert {finding.rule for finding in found} == {head(case, "finds")}
    assert all(finding.source or finding.line == 1 for finding in found)


@pytest.mark.parametrize("case", DEFECTIVE, ids=lambda case: case.stem)
def test_a_defect_names_where_it_was_reported(case: Path) -> None:
    assert head(case, "reported")


@pytest.mark.parametrize("version", [None, "as it says"])
@pytest.mark.parametrize("case", CLEAN, ids=lambda case: case.stem)
def test_a_clean_case_yields_nothing(case: Path, version: str | None) -> None:
    declared = target(case) if version else Target()
    assert check(case, target=declared).findings == ()


def test_every_rule_has_a_case() -> None:
    assert {head(case, "finds") for case in DEFECTIVE} == {rule.id for rule in RULES}


def test_our_own_examples_are_clean() -> None:
    report = check(ROOT / "examples" / "cifar10")
    assert report.findings == ()
    assert len(report.target["entry_points"]) == 2  # type: ignore[arg-type]
