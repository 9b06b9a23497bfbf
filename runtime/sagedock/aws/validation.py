"""A request against its model: what AWS answers with a ValidationException.

Every shape becomes a checker once, so a request costs one walk. The texts are those of AWS's
service framework:

- known from answers that users quoted in public: the count and the list of findings, `Member must
  not be null`, length, value, enum and pattern, and `Map value must satisfy constraint: [...]`
  (aws/sagemaker-python-sdk 314, aws-samples/amazon-sagemaker-pytorch-detectron2 10);
- guesses: the order of several findings, and how the place within a map of structures is
  written.

We differ on purpose in one thing: of a list or a map, and of a long value, AWS repeats everything
and we show what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Final

from sagedock.aws import model, patterns
from sagedock.aws.findings import (
    Complaint,
    Place,
    constraints,
    lower_camel,
    null_at,
    place_text,
    shown_value,
)
from sagedock.aws.model import Call, Shape
from sagedock.errors import ServiceError, ValidationException

CODES: Final = {
    "sagemaker": "ValidationException",
    "sagemaker-runtime": "ValidationError",
    "logs": "InvalidParameterException",
    "cloudwatch": "ValidationError",
    "sts": "ValidationError",
    "iam": "ValidationError",
}
"""How each service calls a request that breaks its model."""

LENIENT: Final = frozenset({"s3", "sts", "iam"})
"""Services whose values are not checked against the model: their own errors say more."""

_PYTHON: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime,),
    "blob": (bytes, bytearray, memoryview, str),
}


class Checker:
    """Finds what is wrong with a value of one shape; this one looks at the type alone."""

    def __init__(self, shape: Shape) -> None:
        self.kind = shape.kind
        self.types = _PYTHON.get(shape.kind, (object,))
        self.is_sensitive = shape.is_sensitive

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        """Append to `findings`. Raises SerializationException for a value of another type."""
        self.check_type(value, place)

    def check_type(self, value: Any, place: Place) -> None:
        if type(value) is self.types[0]:
            return
        if not isinstance(value, self.types) or isinstance(value, bool):
            raise _wrong_type(value, self.kind, place)

    def complaint(self, value: Any, place: Place, broken: str, constraint: str) -> Complaint:
        shown = "" if self.is_sensitive else f" {shown_value(value)}"
        where = place_text(place)
        said = f"Value{shown} at '{where}' failed to satisfy constraint: {constraint}"
        return Complaint(place, said, broken)


class Text(Checker):
    """A string or a blob: its enum, length and pattern."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.enum = frozenset(shape.enum)
        self.minimum = shape.minimum or 0
        self.maximum = float("inf") if shape.maximum is None else shape.maximum
        pattern = patterns.compiled(shape.pattern) if shape.pattern else None
        self.fullmatch = pattern.fullmatch if pattern and shape.kind == "string" else None
        self.constraints = constraints(shape)

    def is_fine(self, value: Any) -> bool:
        return (
            self.minimum <= len(value) <= self.maximum
            and (not self.enum or value in self.enum)
            and (self.fullmatch is None or self.fullmatch(value) is not None)
        )

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        self.check_type(value, place)
        if self.is_fine(value):
            return
        if self.enum and value not in self.enum:
            findings.append(self.complaint(value, place, "enum", self.constraints["enum"]))
        if len(value) > self.maximum:
            findings.append(self.complaint(value, place, "maximum", self.constraints["maximum"]))
        if len(value) < self.minimum:
            findings.append(self.complaint(value, place, "minimum", self.constraints["minimum"]))
        if self.fullmatch and not self.fullmatch(value):
            findings.append(self.complaint(value, place, "pattern", self.constraints["pattern"]))


class Bounded(Checker):
    """What has a smallest and a largest: a number by its value, lists and maps by how many."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.minimum = float("-inf") if shape.minimum is None else shape.minimum
        self.maximum = float("inf") if shape.maximum is None else shape.maximum
        self.constraints = constraints(shape)

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        self.check_type(value, place)
        self.check_bounds(value, value, place, findings)

    def check_bounds(
        self, size: float, value: Any, place: Place, findings: list[Complaint]
    ) -> None:
        if self.minimum <= size <= self.maximum:
            return
        broken = "maximum" if size > self.maximum else "minimum"
        findings.append(self.complaint(value, place, broken, self.constraints[broken]))


class List(Bounded):
    """A list. Texts in it are judged together, anything else each at its own place, from 1."""

    def __init__(self, service: str, shape: Shape) -> None:
        super().__init__(shape)
        self.types = (list, tuple)
        self.member = _checker(service, shape.member)

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        self.check_type(value, place)
        self.check_bounds(len(value), value, place, findings)
        member = self.member
        texts = member if isinstance(member, Text) else None
        wrong = []
        for number, item in enumerate(value, 1):
            inner = ((place, str(number)), "member")
            if item is None:
                findings.append(null_at(inner))
            elif texts is None:
                member.check(item, inner, findings)
            else:
                texts.check_type(item, inner)
                if not texts.is_fine(item):
                    wrong.append(item)
        if wrong and texts:
            findings.append(
                self.complaint(wrong, place, "members", _together("Member must", texts))
            )


class Map(Bounded):
    """A map. Keys are judged together, and so are values that are texts."""

    def __init__(self, service: str, shape: Shape) -> None:
        super().__init__(shape)
        self.types = (dict, Mapping)
        self.key = _checker(service, shape.key)
        self.value = _checker(service, shape.value)

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        self.check_type(value, place)
        self.check_bounds(len(value), value, place, findings)
        if isinstance(self.key, Text):
            wrong = _not_fine(self.key, value, place, of_keys=True)
            if wrong:
                must = _together("Map keys must", self.key)
                findings.append(self.complaint(wrong, place, "members", must))
        if isinstance(self.value, Text):
            wrong = _not_fine(self.value, value, place, of_keys=False)
            if wrong:
                must = _together("Map value must", self.value)
                findings.append(self.complaint(wrong, place, "members", must))
        texts = isinstance(self.value, Text)
        for key, item in value.items():
            if item is None:
                findings.append(null_at(((place, str(key)), "member")))
            elif not texts:
                self.value.check(item, ((place, str(key)), "member"), findings)


def _not_fine(
    texts: Text, entries: Mapping[Any, Any], place: Place, *, of_keys: bool
) -> dict[Any, Any]:
    """Those entries of a map whose key, or whose value, is not as it must be."""
    wrong = {}
    for key, item in entries.items():
        text = key if of_keys else item
        if text is None:
            continue
        texts.check_type(text, (place, str(key)))
        if not texts.is_fine(text):
            wrong[key] = item
    return wrong


class Structure(Checker):
    """A structure: what it must have, then what it has. Members that the model does not know are
    passed over, because newer clients send newer ones."""

    def __init__(self, service: str, shape: Shape) -> None:
        super().__init__(shape)
        self.types = (dict, Mapping)
        self.required = shape.required
        self._service, self._shape = service, shape

    @cached_property
    def members(self) -> dict[str, tuple[str, Checker]]:
        """Each member's name in AWS's messages, and its checker; made late, for recursion."""
        return {
            name: (lower_camel(name), _checker(self._service, member))
            for name, member in self._shape.members.items()
        }

    def check(self, value: Any, place: Place, findings: list[Complaint]) -> None:
        self.check_type(value, place)
        for name in self.required:
            if value.get(name) is None:
                findings.append(null_at((place, lower_camel(name))))
        members = self.members
        for name, item in value.items():
            if item is not None and name in members:
                shown, checker = members[name]
                checker.check(item, (place, shown), findings)


def validate(call: Call, params: Mapping[str, Any]) -> None:
    """Raises a ValidationException (400; its code is the service's own) that names everything
    wrong with `params`, and SerializationException (400) for a value of another type."""
    findings = complaints(call.service, call.operation, params)
    if not findings:
        return
    told = [finding.text for finding in findings]
    if call.service == "s3":
        raise _s3_error(model.operation(call.service, call.operation).input, params, told)
    counted = "error" if len(findings) == 1 else "errors"
    raise ValidationException(
        f"{len(findings)} validation {counted} detected: {'; '.join(told)}",
        code=CODES[call.service],
    )


def complaints(service: str, operation: str, params: Mapping[str, Any]) -> list[Complaint]:
    """Everything wrong with `params`, each with its place. Raises SerializationException (400)
    for a value of another type."""
    shape = model.operation(service, operation).input
    findings: list[Complaint] = []
    if shape is None:
        return findings
    try:
        _checker(service, shape).check(params, None, findings)
    except RecursionError as error:
        said = "The request is nested too deeply"
        raise ServiceError(said, code="SerializationException", status=400) from error
    return findings


def _s3_error(shape: Shape | None, params: Mapping[str, Any], findings: list[str]) -> ServiceError:
    """S3's words for a part of the request that is missing."""
    if shape and shape.payload in shape.required and params.get(shape.payload or "") is None:
        return ServiceError("Request Body is empty", code="MissingRequestBodyError", status=400)
    said = (
        "The XML you provided was not well-formed or did not validate against our published "
        f"schema: {'; '.join(findings)}"
    )
    return ServiceError(said, code="MalformedXML", status=400)


@cache
def _checkers(service: str) -> dict[str, Checker]:
    """The checkers of a service, by shape; constraints are the shape's own, wherever it is."""
    return {}


def _checker(service: str, shape: Shape) -> Checker:
    known = _checkers(service)
    if shape.name not in known:
        known[shape.name] = _new_checker(service, shape)
    return known[shape.name]


def _new_checker(service: str, shape: Shape) -> Checker:
    if shape.is_document:
        return Checker(shape)
    if shape.kind == "structure":
        return Structure(service, shape)
    if shape.kind == "list":
        return List(service, shape)
    if shape.kind == "map":
        return Map(service, shape)
    if service in LENIENT:
        return Checker(shape)
    if shape.kind in ("string", "blob"):
        return Text(shape)
    return Bounded(shape) if shape.kind in ("integer", "float") else Checker(shape)


def _together(who: str, checker: Text) -> str:
    return f"{who} satisfy constraint: [{', '.join(checker.constraints.values())}]"


def _wrong_type(value: Any, kind: str, place: Place) -> ServiceError:
    where = place_text(place) or "request"
    said = f"A {type(value).__name__} cannot be converted to a {kind} (at '{where}')"
    return ServiceError(said, code="SerializationException", status=400)
