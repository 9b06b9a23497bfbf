"""The properties of a resource that Search filters and sorts by: names, values, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from operator import ge, gt, le, lt
from typing import Any, Final

from sagedock.aws.model import Shape
from sagedock.errors import ValidationException

_ORDERINGS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "GreaterThan": gt,
    "GreaterThanOrEqualTo": ge,
    "LessThan": lt,
    "LessThanOrEqualTo": le,
}
_KEYED: Final = ("Tags", "Metrics")
"""Members that filters name with a key behind: Tags.<key>, Metrics.<name> (API_Filter.html)."""


def searchable(record: Mapping[str, Any]) -> dict[str, Any]:
    """`record` with its tags and final metrics as maps from key to value."""
    tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags", ())}
    metrics = {m["MetricName"]: m["Value"] for m in record.get("FinalMetricDataList", ())}
    return {**record, "Tags": tags, "Metrics": metrics}


def check_name(path: str, shape: Shape) -> None:
    """Raises ValidationException unless `path` names a property of the resource `shape`."""
    first, _, rest = path.partition(".")
    if first in _KEYED and rest:
        return
    known, at = shape, path
    while at:
        if known.kind == "list":
            known = known.member
        elif known.kind == "structure":
            name, _, at = at.partition(".")
            if name not in known.members:
                raise ValidationException(
                    f"Unknown property name '{path}': {known.name} has no '{name}'. Its "
                    f"properties are: {', '.join(known.members)}."
                )
            known = known.members[name]
        elif known.kind == "map":
            return
        else:
            raise ValidationException(f"Unknown property name '{path}': '{at}' leads nowhere.")


def values_at(record: Any, path: str) -> Iterator[Any]:
    """Every value that `path` leads to; through a list, those of all its items."""
    if isinstance(record, list):
        for item in record:
            yield from values_at(item, path)
        return
    if not path:
        if record is not None:
            yield record
        return
    if not isinstance(record, Mapping):
        return
    if path in record:  # the keys of maps (hyperparameters, tags) may have dots
        yield from values_at(record[path], "")
        return
    first, _, rest = path.partition(".")
    if first in record:
        yield from values_at(record[first], rest)


def compares(value: Any, operator: str, wanted: str) -> bool:
    """Whether one value of a property satisfies Equals, an ordering, Contains or In. Raises
    ValidationException when `wanted` cannot be compared with a value of that kind."""
    if operator == "Contains":
        return isinstance(value, str) and wanted in value
    if operator == "In":
        return str(value) in [one.strip() for one in wanted.split(",")]
    if isinstance(value, bool):
        return operator == "Equals" and wanted.lower() == str(value).lower()
    if isinstance(value, str):
        return _text_compares(value, operator, wanted)
    other = _moment(wanted) if isinstance(value, datetime) else _number(wanted)
    if operator == "Equals":
        return bool(value == other)
    return _ORDERINGS[operator](value, other)


def order_key(values: Iterator[Any]) -> list[Any]:
    """What to sort a resource by: the first of `values`; resources without any come first."""
    value = next(values, None)
    if value is None:
        return [0, 0]
    if isinstance(value, datetime):
        return [1, value.timestamp()]
    if isinstance(value, (bool, int, float)):
        return [1, float(value)]
    return [2, str(value)]


def _text_compares(value: str, operator: str, wanted: str) -> bool:
    """Texts are equal or not; hyperparameters, which are texts too, also compare as numbers: as
    integers when `wanted` is one, else as decimals (API_Filter.html)."""
    if operator == "Equals" and value == wanted:
        return True
    try:
        if wanted.lstrip("+-").isdigit():
            mine: float = int(float(value))
            other: float = int(wanted)
        else:
            mine, other = float(value), float(wanted)
    except (ValueError, OverflowError):
        return False
    return mine == other if operator == "Equals" else _ORDERINGS[operator](mine, other)


def _number(wanted: str) -> float:
    try:
        return float(wanted)
    except ValueError:
        raise ValidationException(
            f"Value '{wanted}' is compared with a number, so it must be an integer or a decimal."
        ) from None


def _moment(wanted: str) -> datetime:
    try:
        moment = datetime.fromisoformat(wanted.replace("Z", "+00:00"))
    except ValueError:
        raise ValidationException(
            f"Value '{wanted}' is compared with a time, so it must be an ISO 8601 date-time such "
            "as 2024-05-01T12:00:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
