"""The catalogue: every rule, in the order of its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sagedock.check.rules import (
    archive_code_rules,
    artifact_rules,
    code_rules,
    entry_rules,
    hosting_advice_rules,
    hosting_load_rules,
    hosting_request_rules,
    hosting_run_rules,
    hyperparameter_rules,
    image_rules,
    isolation_rules,
    request_rules,
    resource_request_rules,
    run_rules,
    serving_rules,
    serving_way_rules,
    submission_rules,
    training_request_rules,
    training_run_rules,
)
from sagedock.check.rules.rule import Rule
from sagedock.errors import CheckError

RULES: tuple[Rule[Any], ...] = tuple(
    sorted(
        (
            *entry_rules.RULES,
            *serving_rules.RULES,
            *serving_way_rules.RULES,
            *hyperparameter_rules.RULES,
            *code_rules.RULES,
            *run_rules.RULES,
            *submission_rules.RULES,
            *request_rules.RULES,
            *training_request_rules.RULES,
            *hosting_request_rules.RULES,
            *resource_request_rules.RULES,
            *artifact_rules.RULES,
            *archive_code_rules.RULES,
            *image_rules.RULES,
            *training_run_rules.RULES,
            *hosting_run_rules.RULES,
            *hosting_load_rules.RULES,
            *hosting_advice_rules.RULES,
            *isolation_rules.RULES,
        ),
        key=lambda rule: rule.id,
    )
)


def rule(id: str) -> Rule[Any]:
    """Raises CheckError where there is none."""
    found = next((rule for rule in RULES if rule.id == id.upper()), None)
    if found is None:
        raise CheckError(f"There is no rule {id}. `sagedock check --rules` lists them.")
    return found


def named(words: Iterable[str]) -> frozenset[str]:
    """The ids that these words mean: SD101, or a beginning such as SD12. Raises CheckError for a
    word that means none."""
    ids: set[str] = set()
    for word in words:
        meant = {rule.id for rule in RULES if rule.id.startswith(word.upper())}
        if not meant or not word:
            raise CheckError(f"There is no rule {word!r}. `sagedock check --rules` lists them.")
        ids |= meant
    return frozenset(ids)
