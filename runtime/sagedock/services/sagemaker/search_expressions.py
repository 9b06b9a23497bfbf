"""Does a resource satisfy a SearchExpression?

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SearchExpression.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sagedock.aws.model import Shape
from sagedock.errors import ValidationException
from sagedock.services.sagemaker.search_properties import check_name, compares, values_at

Expression = Mapping[str, Any]


def check_expression(expression: Expression, shape: Shape) -> None:
    """Raises ValidationException for an expression that says nothing, names what is no property
    of the resource `shape`, or uses Contains more than once (API_Filter.html)."""
    contains = 0
    for condition in _filters(expression):
        check_name(condition["Name"], shape)
        operator = _operator(condition)
        contains += operator == "Contains"
        if operator not in ("Exists", "NotExists") and "Value" not in condition:
            raise ValidationException(
                f"The filter on '{condition['Name']}' has no Value, which {operator} needs."
            )
    if contains > 1:
        raise ValidationException("'CONTAINS' operator usage limit of 1 exceeded.")


def satisfies(record: Mapping[str, Any], expression: Expression) -> bool:
    """Whether `record` (see `search_properties.searchable`) satisfies a checked expression."""
    verdicts = [
        *(_passes(record, condition) for condition in expression.get("Filters", ())),
        *(_passes_nested(record, nested) for nested in expression.get("NestedFilters", ())),
        *(satisfies(record, inner) for inner in expression.get("SubExpressions", ())),
    ]
    return any(verdicts) if expression.get("Operator") == "Or" else all(verdicts)


def is_visible(record: Mapping[str, Any], conditions: list[Mapping[str, str]]) -> bool:
    """VisibilityConditions: a tag that is there must have the value; one that is not there does
    no harm (API_Search.html)."""
    return all(
        value == condition.get("Value", "")
        for condition in conditions
        for value in values_at(record, condition.get("Key", ""))
    )


def _passes(record: Any, condition: Mapping[str, str]) -> bool:
    values, operator = values_at(record, condition["Name"]), _operator(condition)
    if operator == "Exists":
        return any(True for _ in values)
    if operator == "NotExists":
        return not any(True for _ in values)
    wanted = condition["Value"]
    if operator == "NotEquals":
        return not any(compares(value, "Equals", wanted) for value in values)
    return any(compares(value, operator, wanted) for value in values)


def _passes_nested(record: Mapping[str, Any], nested: Mapping[str, Any]) -> bool:
    """One item of the list must pass all filters; these name their properties from the root."""
    prefix = nested["NestedPropertyName"] + "."
    conditions = [
        {**condition, "Name": condition["Name"].removeprefix(prefix)}
        for condition in nested["Filters"]
    ]
    return any(
        all(_passes(item, condition) for condition in conditions)
        for item in values_at(record, nested["NestedPropertyName"])
    )


def _operator(condition: Mapping[str, str]) -> str:
    return condition.get("Operator", "Equals" if "Value" in condition else "Exists")


def _filters(expression: Expression) -> Iterator[Mapping[str, str]]:
    """Every filter, however deep."""
    parts = ("Filters", "NestedFilters", "SubExpressions")
    if not any(expression.get(part) for part in parts):
        raise ValidationException(
            "A SearchExpression must have at least one of Filters, NestedFilters and "
            "SubExpressions."
        )
    yield from expression.get("Filters", ())
    for nested in expression.get("NestedFilters", ()):
        prefix = nested["NestedPropertyName"] + "."
        for condition in nested["Filters"]:
            named = condition["Name"]
            full = named if named.startswith(prefix) else prefix + named
            yield {**condition, "Name": full}
    for inner in expression.get("SubExpressions", ()):
        yield from _filters(inner)
