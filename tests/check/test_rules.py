"""Every rule has its page, and both examples of it do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sagedock.check.checker import check
from sagedock.check.pages import index, page
from sagedock.check.rule import Rule
from sagedock.check.rules import RULES

PAGES = Path(__file__).parents[2] / "docs" / "rules"


def found(rule: Rule, text: str, folder: Path) -> set[str]:
    name = re.match(r"# saved as (\S+)", text)
    script = folder / (name[1] if name else "train.py")
    script.write_text(text, encoding="utf-8")
    return {finding.rule for finding in check(script, target=rule.example).findings}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(rule: Rule, tmp_path: Path) -> None:
    assert found(rule, rule.failing, tmp_path) == {rule.id}
    assert found(rule, rule.passing, tmp_path) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_page_of_a_rule_is_up_to_date(rule: Rule) -> None:
    written = (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")
    assert written == page(rule), "run `python -m sagedock.check.pages docs/rules`"


def test_the_table_of_rules_lists_each_once() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert (PAGES / "README.md").read_text(encoding="utf-8") == index()
    assert {path.stem for path in PAGES.glob("SD*.md")} == set(ids)
