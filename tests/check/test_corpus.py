"""The corpus: what fails in the cloud is found by its rule, and what does not yields nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from check.cases import CLEAN, DEFECTIVE, STATIC_CLEAN, STATIC_DEFECTIVE, Case
from sagedock.check.checker import check
from sagedock.check.rules.catalogue import RULES
from sagedock.cli import main

ROOT = Path(__file__).parents[2]


def findings(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `sagedock check` finds in the case, laid out in `folder`."""
    words = case.laid_out(folder)
    monkeypatch.chdir(folder)
    told = CliRunner().invoke(main, ["check", *words, "--format", "json"])
    assert told.exit_code in (0, 1), told.stderr
    found: list[dict[str, Any]] = json.loads(told.stdout)["findings"]
    assert told.exit_code == any(f["level"] != "advice" for f in found)
    return found


@pytest.mark.parametrize("case", STATIC_DEFECTIVE, ids=lambda case: case.name)
def test_a_defect_is_found_by_its_rule_and_by_no_other(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = findings(case, tmp_path, monkeypatch)
    assert {finding["rule"] for finding in found} == set(case.head("finds").split())


@pytest.mark.parametrize("case", DEFECTIVE, ids=lambda case: case.name)
def test_a_defect_names_where_it_was_reported(case: Case) -> None:
    assert case.head("reported")


@pytest.mark.parametrize("case", STATIC_CLEAN, ids=lambda case: case.name)
def test_a_clean_case_yields_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(case, tmp_path, monkeypatch) == []


@pytest.mark.parametrize("case", [c for c in CLEAN if c.is_script], ids=lambda case: case.name)
def test_a_clean_script_yields_nothing_without_options_too(case: Case) -> None:
    assert check(case.path).findings == ()


def test_every_rule_has_a_case() -> None:
    found = {word for case in DEFECTIVE for word in case.head("finds").split()}
    assert found == {rule.id for rule in RULES}


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert len(DEFECTIVE) >= 80
    assert len(CLEAN) >= 30


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in (*DEFECTIVE, *CLEAN)]
    assert len(names) == len(set(names))


def test_our_own_examples_are_clean() -> None:
    report = check(ROOT / "examples" / "cifar10")
    assert report.findings == ()
    assert len(report.target["entry_points"]) == 2  # type: ignore[arg-type]
