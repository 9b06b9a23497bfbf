"""Every rule has its page, and both examples of it do what the page says."""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from check.cases import found_at_last, packed
from sagedock.check.checker import Checker
from sagedock.check.reports.pages import index, page
from sagedock.check.rules import shelves
from sagedock.check.rules.catalogue import RULES
from sagedock.check.rules.hosting_rule import HostingRule
from sagedock.check.rules.request_rule import RequestRule
from sagedock.check.rules.rule import Rule
from sagedock.check.rules.shelves import rules_from, rules_of
from sagedock.check.rules.training_run_rules import TrainingRule
from sagedock.check.subjects.archive import read_archive
from sagedock.check.subjects.request import request_of
from sagedock.cli import main

STATIC = [rule for rule in RULES if rule.kind in ("script", "request", "artifact")]
DYNAMIC = [
    rule for rule in RULES if rule.kind in ("training", "hosting") and rule.language != "dockerfile"
]
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
        name = re.match(r"# saved as (\S+)(?: beside a (\S+))?", text)
        script = folder / (name[1] if name else "train.py")
        script.parent.mkdir(exist_ok=True)
        script.write_text(text, encoding="utf-8")
        if name is not None and name[2]:
            (folder / name[2]).touch()
            checker.scripts(folder, name[1])
        else:
            checker.scripts(script)
    return checker


def found(rule: Rule[Any], text: str, folder: Path) -> set[str]:
    return {finding.rule for finding in checked(rule, text, folder).report.findings}


@pytest.mark.parametrize("rule", STATIC, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(rule: Rule[Any], tmp_path: Path) -> None:
    assert found(rule, rule.failing, tmp_path) == {rule.id}
    assert found(rule, rule.passing, tmp_path) == set()


@functools.cache
def found_by_running(text: str, options: tuple[str, ...], files: tuple[tuple[str, str], ...],
                     frameworks: Path, look: int = 0) -> frozenset[str]:  # fmt: skip
    """Rules that find something in the script, trained and served for real, in the look of that
    number."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("train.py", text), *files):
            Path(folder, name).write_text(content, encoding="utf-8")
        options = tuple(
            os.path.join(folder, word) if word in dict(files) else word for word in options
        )
        command = ["check", os.path.join(folder, "train.py"), *options, "--format", "json"]
        told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(main, command)
        assert told.exit_code in (0, 1), told.stderr
        return frozenset(finding["rule"] for finding in json.loads(told.stdout)["findings"])


@pytest.mark.parametrize("rule", DYNAMIC, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_on_runs_are_true(rule: Rule[Any], frameworks: Path) -> None:
    assert isinstance(rule, (TrainingRule, HostingRule))
    files = tuple(rule.files.items())
    options = getattr(rule, "passing_options", ()) or rule.options
    looks = itertools.count()

    def look() -> set[str]:
        return set(found_by_running(rule.failing, rule.options, files, frameworks, next(looks)))

    assert found_at_last({rule.id}, look) == {rule.id}
    assert found_by_running(rule.passing, options, files, frameworks) == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_page_of_a_rule_is_up_to_date(rule: Rule[Any]) -> None:
    written = (PAGES / f"{rule.id}.md").read_text(encoding="utf-8")
    assert written == page(rule), "run `python -m sagedock.check.reports.pages docs/rules`"


def test_a_rule_stands_on_the_shelf_of_its_kind_and_number() -> None:
    for rule in RULES:
        assert rule in rules_of(rule.kind)
        assert rules_from(rule.id) == (rule,)


def test_the_rules_of_every_module_are_in_the_catalogue() -> None:
    folder = Path(shelves.__file__).parent
    names = [file.stem for file in folder.glob("*_rules.py")]
    modules = [importlib.import_module(f"sagedock.check.rules.{name}") for name in names]
    assert {rule.id for module in modules for rule in module.RULES} == {rule.id for rule in RULES}


def test_the_table_of_rules_lists_each_once() -> None:
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))
    assert (PAGES / "README.md").read_text(encoding="utf-8") == index()
    assert {path.stem for path in PAGES.glob("SD*.md")} == set(ids)
