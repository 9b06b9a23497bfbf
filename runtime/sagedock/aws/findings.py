"""How AWS words what is wrong with a request, and how it names the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from sagedock.aws.model import Shape

Place: TypeAlias = "tuple[Place, str] | None"
"""Where a value is: the place around it, and its name there. Made text only when something is
wrong, for most requests are right and a tuple costs next to nothing."""


class Complaint(NamedTuple):
    """One thing wrong with a request: where, in AWS's words, and which constraint is broken
    ("null", "enum", "maximum", "minimum", "pattern", "members")."""

    place: Place
    text: str
    broken: str


_SHOWN: Final = 120
"""Characters of a value that an error repeats."""


def place_text(place: Place) -> str:
    """A place as AWS's messages have it: `inputDataConfig.1.member.channelName`."""
    return ".".join(place_names(place))


def place_names(place: Place) -> list[str]:
    """The names that make the place, from the outermost to the innermost."""
    names: list[str] = []
    while place:
        place, name = place
        names.append(name)
    return names[::-1]


def lower_camel(name: str) -> str:
    """A member's name as AWS's messages have it: `TrainingJobName` is `trainingJobName`."""
    return name[:1].lower() + name[1:]


def shown_value(value: Any) -> str:
    """A value in quotes, as Java prints it, cut to a readable length."""
    text = _printed(value)
    return f"'{text}'" if len(text) <= 2 * _SHOWN else f"'{text[: 2 * _SHOWN]}…'"


def _printed(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_printed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_printed(item) for item in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def constraints(shape: Shape) -> dict[str, str]:
    """A shape's constraints in AWS's words and order."""
    what = "value" if shape.kind in ("integer", "float") else "length"
    said = {}
    if shape.enum:
        said["enum"] = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if shape.maximum is not None:
        said["maximum"] = f"Member must have {what} less than or equal to {_bound(shape.maximum)}"
    if shape.minimum is not None:
        least = _bound(shape.minimum)
        said["minimum"] = f"Member must have {what} greater than or equal to {least}"
    if shape.pattern:
        said["pattern"] = f"Member must satisfy regular expression pattern: {shape.pattern}"
    return said


def _bound(number: float) -> str:
    return str(int(number)) if float(number).is_integer() else str(number)


def null_at(place: Place) -> Complaint:
    where = place_text(place)
    said = f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
    return Complaint(place, said, "null")
