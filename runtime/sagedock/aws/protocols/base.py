"""What all protocols share: the seam, and single values as text."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final, Protocol

from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Shape
from sagedock.errors import ServiceError

_ISO: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"
)
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class WireProtocol(Protocol):
    """How one of AWS's protocols reads a request and writes an answer or an error."""

    def parse(self, call: Call, request: HttpRequest) -> dict[str, Any]: ...

    def serialize(self, call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse: ...

    def serialize_error(
        self, call: Call | None, error: ServiceError, request_id: str
    ) -> HttpResponse: ...


class Mismatch(Exception):
    """A value that is not of its shape's type; `path` names the place, filled on the way up."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said
        self.path: list[str] = []

    def at(self, place: str) -> Mismatch:
        """The same, one level further out."""
        self.path.insert(0, place)
        return self

    def error(self, code: str = "SerializationException") -> ServiceError:
        """As an answer: AWS's words, and the place, which AWS leaves out."""
        where = f" (at {'.'.join(self.path)})" if self.path else ""
        return ServiceError(self.said + where, code=code, status=400)


def unix_time(value: datetime | int | float) -> int | float:
    """Seconds since 1970 to the millisecond, without a fraction where there is none."""
    if not isinstance(value, datetime):
        return value
    milliseconds = (_aware(value) - _EPOCH) // timedelta(milliseconds=1)
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000


def from_unix_time(seconds: int | float) -> datetime:
    """Raises Mismatch where no date is that far away."""
    try:
        return _EPOCH + timedelta(milliseconds=round(seconds * 1000))
    except (OverflowError, ValueError) as error:
        raise Mismatch(f"{seconds!r} is not a time in seconds since 1970") from error


def time_text(value: datetime | int | float, style: str) -> str:
    """A time as `iso8601`, `rfc822` or `unixTimestamp` writes it, in UTC."""
    if style == "unixTimestamp":
        return str(unix_time(value))
    moment = _aware(value) if isinstance(value, datetime) else from_unix_time(value)
    moment = moment.astimezone(timezone.utc)
    if style == "rfc822":
        return format_datetime(moment, usegmt=True)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def time_from_text(text: str) -> datetime:
    """Reads all three styles, whichever the shape names: clients take liberties here."""
    text = text.strip()
    try:
        if found := _ISO.fullmatch(text):
            return _from_iso(found)
        if _NUMBER.fullmatch(text):
            return from_unix_time(float(text))
        return _aware(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise Mismatch(f"{text[:64]!r} is not a timestamp") from error


def _from_iso(found: re.Match[str]) -> datetime:
    fields = [int(part) for part in found.groups()[:6]]
    fraction, zone = found.group(7), found.group(8)
    microsecond = int(fraction[:6].ljust(6, "0")) if fraction else 0
    moment = datetime(*fields, microsecond, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]
    if zone and zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        moment = moment + offset if zone[0] == "-" else moment - offset
    return moment


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def value_from_text(shape: Shape, text: str) -> Any:
    """A single value from a header, a query key or an XML element. Raises Mismatch."""
    kind = shape.kind
    if kind == "string":
        return text
    if kind == "integer":
        return integer_from_text(text)
    if kind == "boolean":
        return _boolean_from_text(text)
    if kind == "float":
        return float_from_text(text)
    if kind == "timestamp":
        return time_from_text(text)
    if kind == "blob":
        return blob_from_text(text)
    raise Mismatch(f"A {kind} cannot be read from text")


def text_of_value(shape: Shape, value: Any, time_style: str) -> str:
    """The opposite of `value_from_text`; `time_style` counts where the shape names none."""
    kind = shape.kind
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "timestamp":
        return time_text(value, shape.timestamp_format or time_style)
    if kind == "blob":
        return blob_text(value)
    if kind == "float":
        return float_text(value)
    return str(value)


def integer_from_text(text: str) -> int:
    stripped = text.strip()
    # int() takes more than AWS: underscores, and digits of other scripts.
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", stripped):
        raise Mismatch(f"{text[:64]!r} is not an integer")
    return int(stripped)


def _boolean_from_text(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise Mismatch(f"{text[:64]!r} is not a boolean")
    return lowered == "true"


def float_from_text(text: str) -> float:
    stripped = text.strip()
    if stripped in ("NaN", "Infinity", "-Infinity") or _NUMBER.fullmatch(stripped):
        return float(stripped)
    raise Mismatch(f"{text[:64]!r} is not a number")


def float_text(value: float) -> str:
    """As AWS writes those that JSON and XML have no number for: NaN, Infinity, -Infinity."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def blob_from_text(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Mismatch("A blob is not valid base64") from error


def blob_text(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")
