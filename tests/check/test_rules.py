"""Every rule has its page, and both examples of it do what the page says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from check.cases import packed
from sagedock.check.archive import read_archive
from sagedock.check.checker import Checker
from sagedock.check.pages import index, page
from sagedock.check.request import request_of
from sagedock.check.request_rules import RequestRule
from sagedock.check.rule import Rule
from sagedock.check.rules import RULES

STATIC = [rule for rule in RULES if rule.kind in ("script", "request", "artifact")]
PAGES = Path(__file__).parents[2] / "docs" / "rules"


def checked(rule: Rule[Any], text: str, folder: Path) -> Checker:
    """After a look at an example of the rule."""
    checker = Checker(rule.example)
    if isinstance(rule, RequestRule):
        beside = (request_of(rule.beside, "other.json"),) if rule.beside else ()
        checker.requests([replace(request_of(text, "job.json"), others=beside)])
    elif rule.kind == "artifact":
        packed(folder, f"rm -rf export model.tar.gz\n{text}")
        checker.archive(read_archive(folder / "model.tar.gz"))
    else:
        name = re.match(r"# saved as (\S+)", text)
        script = folder / (name[1] if name else "train.py")
        script.write_text(text, encoding="utf-8")
        checker.scripts(script)
    return checker


def found(rule: Rule[Any], text: str, folder: Path) -> set[str]:
    return {finding.rule for finding in checked(rule, text, folder).report.findings}


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(rule: Rule[Any], tmp_path: Path) -> None:
    assert found(rule, rule.failing, tmp_path) == {rule.id}
    assert found(rule, rule.passing, tmp_path) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_page_of_a_rule_is_up_to_date(rule: Rule[Any]) -> None:
    written = (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")
    assert written == page(rule), "run `python -m sagedock.check.pages docs/rules`"


def test_the_table_of_rules_lists_each_once() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert (PAGES / "README.md").read_text(encoding="utf-8") == index()
    assert {path.stem for path in PAGES.glob("SD*.md")} == set(ids)
