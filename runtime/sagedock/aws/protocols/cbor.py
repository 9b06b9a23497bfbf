"""Smithy RPC v2 with CBOR bodies (RFC 8949): CloudWatch for the newest clients of other languages.

botocore 1.44 lists this protocol first for CloudWatch and still sends JSON; the error members and
types are those of JSON, so only the encoding is here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from sagedock.aws import model
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Shape
from sagedock.aws.protocols import json
from sagedock.aws.protocols.base import Mismatch, unix_time
from sagedock.errors import ServiceError

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_EPOCH_TAG: Final = 1
_SIMPLE_VALUES: Final = {20: False, 21: True, 22: None, 23: None}
_FLOATS: Final = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The request's members. Raises SerializationException (400)."""
    shape = model.operation(call.service, call.operation).input
    if shape is None or not request.body:
        return {}
    try:
        found: dict[str, Any] = json.read(shape, decoded(request.body))
    except Mismatch as mismatch:
        raise mismatch.error() from mismatch
    except RecursionError as error:
        raise Mismatch("The request is nested too deeply").error() from error
    return found


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    shape = model.output_shape(call)
    out = bytearray()
    if shape:
        _write(out, shape, answer)
    return HttpResponse(200, _headers(request_id), bytes(out))


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    shape = model.error_shape(call.service, error.code) if call else None
    headers = _headers(request_id) | error.headers
    if call and "awsQueryCompatible" in model.metadata(call.service):
        headers["x-amzn-query-error"] = json.query_error(shape, error)
    out = bytearray()
    _write_plain(out, json.error_members(shape, error))
    return HttpResponse(error.status, headers, bytes(out))


def _headers(request_id: str) -> dict[str, str]:
    return {
        "Content-Type": "application/cbor",
        "smithy-protocol": "rpc-v2-cbor",
        "x-amzn-RequestId": request_id,
    }


def decoded(body: bytes) -> Any:
    """What `body` holds; a time is its number of seconds. Raises Mismatch."""
    reader = _Reader(body)
    value = reader.item()
    if reader.place != len(body):
        raise Mismatch("The request body goes on after its CBOR item")
    return value


class _Reader:
    """Reads one data item after the other; never further than the bytes there are."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.place = 0

    def take(self, count: int) -> bytes:
        taken = self.body[self.place : self.place + count]
        if len(taken) != count:
            raise Mismatch("The request body is not valid CBOR: it ends too early")
        self.place += count
        return taken

    def item(self) -> Any:
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == _SIMPLE:
            return self.simple(info)
        if major in (_BYTES, _TEXT, _ARRAY, _MAP) and info == _INDEFINITE:
            return self.indefinite(major)
        number = self.number(info)
        if major == _UNSIGNED:
            return number
        if major == _NEGATIVE:
            return -1 - number
        if major == _BYTES:
            return self.take(number)
        if major == _TEXT:
            return _text(self.take(number))
        if major == _ARRAY:
            return [self.item() for _ in range(number)]
        if major == _MAP:
            return dict(self.pair() for _ in range(number))
        return self.tagged(number)

    def number(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise Mismatch("The request body is not valid CBOR")
        return int.from_bytes(self.take(1 << (info - 24)), "big")

    def pair(self) -> tuple[str, Any]:
        key = self.item()
        if not isinstance(key, str):
            raise Mismatch("The keys of a CBOR map must be texts")
        return key, self.item()

    def tagged(self, tag: int) -> Any:
        value = self.item()
        if tag == _EPOCH_TAG and (not isinstance(value, (int, float)) or isinstance(value, bool)):
            raise Mismatch("A CBOR time must be a number")
        return value

    def simple(self, info: int) -> Any:
        if info in _SIMPLE_VALUES:
            return _SIMPLE_VALUES[info]
        if info not in _FLOATS:
            raise Mismatch("The request body is not valid CBOR")
        layout, size = _FLOATS[info]
        return struct.unpack(layout, self.take(size))[0]

    def indefinite(self, major: int) -> Any:
        parts: list[Any] = []
        while self.body[self.place : self.place + 1] != bytes([_BREAK]):
            parts.append(self.pair() if major == _MAP else self.item())
        self.place += 1
        if major == _ARRAY:
            return parts
        if major == _MAP:
            return dict(parts)
        kind = bytes if major == _BYTES else str
        if not all(isinstance(part, kind) for part in parts):
            raise Mismatch("The request body is not valid CBOR")
        return b"".join(parts) if major == _BYTES else "".join(parts)


def _text(encoded: bytes) -> str:
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Mismatch("A CBOR text is not UTF-8") from error


def _write(out: bytearray, shape: Shape, value: Any) -> None:
    if shape.kind == "structure":
        there = [name for name in shape.members if value.get(name) is not None]
        _head(out, _MAP, len(there))
        for name in there:
            _write_plain(out, name)
            _write(out, shape.members[name], value[name])
    elif shape.kind == "list":
        _head(out, _ARRAY, len(value))
        for item in value:
            _write(out, shape.member, item)
    elif shape.kind == "map":
        _head(out, _MAP, len(value))
        for key, item in value.items():
            _write_plain(out, key)
            _write(out, shape.value, item)
    elif shape.kind == "timestamp":
        _head(out, _TAG, _EPOCH_TAG)
        _write_plain(out, float(unix_time(value)))
    else:
        _write_plain(out, float(value) if shape.kind == "float" else value)


def _write_plain(out: bytearray, value: Any) -> None:
    """A value as its Python type has it."""
    if value is None or isinstance(value, bool):
        out.append(_SIMPLE << 5 | (22 if value is None else 20 + value))
    elif isinstance(value, int):
        _head(out, _NEGATIVE if value < 0 else _UNSIGNED, -1 - value if value < 0 else value)
    elif isinstance(value, float):
        out += bytes([_SIMPLE << 5 | 27]) + struct.pack(">d", value)
    elif isinstance(value, bytes):
        _head(out, _BYTES, len(value))
        out += value
    elif isinstance(value, Mapping):
        _head(out, _MAP, len(value))
        for key, item in value.items():
            _write_plain(out, str(key))
            _write_plain(out, item)
    elif isinstance(value, (list, tuple)):
        _head(out, _ARRAY, len(value))
        for item in value:
            _write_plain(out, item)
    else:
        encoded = str(value).encode("utf-8")
        _head(out, _TEXT, len(encoded))
        out += encoded


def _head(out: bytearray, major: int, number: int) -> None:
    if number < 24:
        out.append(major << 5 | number)
        return
    size = next(power for power in range(4) if number < 1 << (8 << power))
    out.append(major << 5 | 24 + size)
    out += number.to_bytes(1 << size, "big")
