"""The rules by what they look at. A shelf is loaded when a rule of it is first asked for: those on
scripts need neither AWS's models nor what a run is made of, and are quick to load."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from typing import Any

from sagedock.check.rules.rule import Kind, Rule
from sagedock.errors import CheckError

_SHELVES: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "SD1": (
        "script",
        (
            "entry_rules",
            "model_saving_rules",
            "serving_rules",
            "serving_way_rules",
            "hyperparameter_rules",
            "code_rules",
            "import_rules",
            "run_rules",
            "submission_rules",
        ),
    ),
    "SD2": (
        "request",
        (
            "request_rules",
            "request_image_rules",
            "training_request_rules",
            "hosting_request_rules",
            "resource_request_rules",
        ),
    ),
    "SD3": ("artifact", ("artifact_rules", "archive_code_rules")),
    "SD4": ("training", ("training_run_rules",)),
    "SD5": ("hosting", ("hosting_run_rules", "hosting_load_rules")),
    "SD6": ("hosting", ("hosting_advice_rules",)),
    "SD7": ("image", ("image_rules",)),
    "SD8": ("isolation", ("isolation_rules",)),
}
"""How the ids of a shelf begin → what its rules look at, and the modules that have them."""


def rules_of(kind: Kind) -> tuple[Rule[Any], ...]:
    """All that look at this, in the order of their numbers."""
    shelves = (_shelf(start) for start, (looks_at, _) in _SHELVES.items() if looks_at == kind)
    return tuple(rule for shelf in shelves for rule in shelf)


def rules_from(beginning: str) -> tuple[Rule[Any], ...]:
    """All whose id is this or begins so, in the order of their numbers."""
    near = (s for s in _SHELVES if s.startswith(beginning) or beginning.startswith(s))
    return tuple(rule for s in near for rule in _shelf(s) if rule.id.startswith(beginning))


def named(words: Iterable[str]) -> frozenset[str]:
    """The ids that these words mean: SD101, or a beginning such as SD12. Raises CheckError for a
    word that means none."""
    ids: set[str] = set()
    for word in words:
        meant = {rule.id for rule in rules_from(word.upper())} if word else set()
        if not meant:
            raise CheckError(f"There is no rule {word!r}. `sagedock check --rules` lists them.")
        ids |= meant
    return frozenset(ids)


@cache
def _shelf(beginning: str) -> tuple[Rule[Any], ...]:
    _, names = _SHELVES[beginning]
    modules = (importlib.import_module(f"sagedock.check.rules.{name}") for name in names)
    rules: list[Rule[Any]] = [rule for module in modules for rule in module.RULES]
    return tuple(sorted(rules, key=lambda rule: rule.id))
