"""The catalogue: every rule, in the order of its numbers."""

from __future__ import annotations

from typing import Any

from sagedock.check.rules.rule import Rule
from sagedock.check.rules.shelves import rules_from
from sagedock.errors import CheckError

RULES: tuple[Rule[Any], ...] = rules_from("SD")


def rule(id: str) -> Rule[Any]:
    """Raises CheckError where there is none."""
    found = next((rule for rule in RULES if rule.id == id.upper()), None)
    if found is None:
        raise CheckError(f"There is no rule {id}. `sagedock check --rules` lists them.")
    return found
