"""AWS JSON 1.0 and 1.1: SageMaker, CloudWatch Logs, CloudWatch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from sagedock.aws import model
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Shape
from sagedock.aws.protocols.base import (
    Mismatch,
    blob_from_text,
    blob_text,
    float_text,
    from_unix_time,
    time_from_text,
    unix_time,
)
from sagedock.errors import ServiceError

_LONGEST: Final = 2**63


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The request's members. Raises SerializationException (400)."""
    shape = model.operation(call.service, call.operation).input
    return read_document(shape, request.body) if shape else {}


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    shape = model.output_shape(call)
    # AWS sends no body at all where the operation answers nothing, such as DeleteModel.
    body = document(write(shape, answer)) if shape else b""
    return HttpResponse(200, _headers(call, request_id), body)


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    shape = model.error_shape(call.service, error.code) if call else None
    headers = _headers(call, request_id) | error.headers
    if call and "awsQueryCompatible" in model.metadata(call.service):
        headers["x-amzn-query-error"] = query_error(shape, error)
    return HttpResponse(error.status, headers, document(error_members(shape, error)))


def query_error(shape: Shape | None, error: ServiceError) -> str:
    """The code that the service had when it spoke the query protocol, and whose fault it is."""
    code = (shape.error_code if shape else None) or error.code
    return f"{code};{'Sender' if error.status < 500 else 'Receiver'}"


def error_members(shape: Shape | None, error: ServiceError) -> dict[str, Any]:
    """An error's body: code, text and further fields, spelled as the error's shape has them."""
    members = shape.members if shape else {}
    said = "Message" if "Message" in members else "message"
    body = {"__type": shape.name if shape else error.code, said: error.message}
    for name, value in error.fields.items():
        body[name] = write(members[name], value) if name in members else value
    return body


def document(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=str).encode("ascii")


def read_document(shape: Shape, body: bytes) -> dict[str, Any]:
    """Read a body that holds the structure `shape`. Raises SerializationException (400)."""
    if not body:
        return {}
    try:
        found = read(shape, _load(body))
    except Mismatch as mismatch:
        raise mismatch.error() from mismatch
    except RecursionError as error:
        raise Mismatch("The request is nested too deeply").error() from error
    members: dict[str, Any] = found
    return members


def _load(body: bytes) -> Any:
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
        if b"\\u" in body:
            # Half of a surrogate pair is a str that nothing can store or send on.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise Mismatch("The request body is not valid UTF-8") from error
    except ValueError as error:
        raise Mismatch(f"The request body is not valid JSON: {error}") from error
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read(shape: Shape, value: Any) -> Any:
    """A decoded JSON value as Python has it; members that the shape does not know, and those
    that are null, are left out. Raises Mismatch."""
    kind = shape.kind
    if kind == "structure":
        return _structure(shape, value)
    if kind == "list":
        if not isinstance(value, list):
            raise _expected("Expected list or null", value)
        return [_element(shape.member, str(place), item) for place, item in enumerate(value, 1)]
    if kind == "map":
        if not isinstance(value, dict):
            raise _expected("Expected map or null", value)
        return {key: _element(shape.value, key, item) for key, item in value.items()}
    if kind == "string":
        if not isinstance(value, str):
            raise _cannot(value, "a String")
        return value
    return _SCALARS[kind](value)


def _structure(shape: Shape, value: Any) -> Any:
    if shape.is_document:
        return value
    if not isinstance(value, dict):
        raise _expected("Expected structure or null", value)
    members = shape.members
    found = {}
    for name, item in value.items():
        # JSON names are the members' own: none of the routed models renames one.
        member = members.get(name)
        if member is None or item is None:
            continue
        try:
            found[name] = read(member, item)
        except Mismatch as mismatch:
            raise mismatch.at(name) from None
    return found


def _element(shape: Shape, place: str, value: Any) -> Any:
    """Null stays, for validation to refuse it."""
    if value is None:
        return None
    try:
        return read(shape, value)
    except Mismatch as mismatch:
        raise mismatch.at(place) from None


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _cannot(value, "an Integer")
    if not -_LONGEST <= value < _LONGEST:
        raise Mismatch("A number is too large for an Integer")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _cannot(value, "a Boolean")
    return value


def _float(value: Any) -> float:
    if value in ("NaN", "Infinity", "-Infinity") and isinstance(value, str):
        return float(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _cannot(value, "a Double")
    try:
        number = float(value)
    except OverflowError as error:
        raise Mismatch("A number is too large for a Double") from error
    if math.isinf(number):
        raise Mismatch("A number is too large for a Double")
    return number


def _timestamp(value: Any) -> Any:
    if isinstance(value, str):
        return time_from_text(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _cannot(value, "a Timestamp")
    return from_unix_time(value)


def _blob(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value  # from CBOR, which has bytes
    if not isinstance(value, str):
        raise _cannot(value, "a Blob")
    return blob_from_text(value)


_SCALARS: Final = {
    "integer": _integer,
    "boolean": _boolean,
    "float": _float,
    "timestamp": _timestamp,
    "blob": _blob,
}


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return f"{str(value).upper()}_VALUE"
    if isinstance(value, (int, float)):
        return "NUMBER_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NULL_VALUE"


def _cannot(value: Any, wanted: str) -> Mismatch:
    """In the words of AWS's own framework; how it ends for lists is a guess."""
    if isinstance(value, list):
        return Mismatch("Start of list found where not expected")
    if isinstance(value, dict):
        return Mismatch("Start of structure or map found where not expected.")
    return Mismatch(f"{_token(value)} can not be converted to {wanted}")


def _expected(said: str, value: Any) -> Mismatch:
    if isinstance(value, (list, dict)):
        return _cannot(value, "")
    return Mismatch(f"{said}, found {_token(value)}")


def write(shape: Shape, value: Any) -> Any:
    """A Python value as JSON has it: only known members, none that is None."""
    kind = shape.kind
    if kind == "structure" and not shape.is_document:
        return {
            name: write(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if kind == "list":
        return [write(shape.member, item) for item in value]
    if kind == "map":
        return {key: write(shape.value, item) for key, item in value.items()}
    if kind == "timestamp":
        return unix_time(value)
    if kind == "blob":
        return blob_text(value)
    if kind == "float" and not math.isfinite(value):
        return float_text(value)
    return value


def _headers(call: Call | None, request_id: str) -> dict[str, str]:
    version = model.metadata(call.service).get("jsonVersion", "1.0") if call else "1.1"
    return {
        "Content-Type": f"application/x-amz-json-{version}",
        "x-amzn-RequestId": request_id,
    }
