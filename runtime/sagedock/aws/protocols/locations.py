"""REST members that are not in the body: in the path, the query, headers and the status."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from sagedock.aws import model, rest
from sagedock.aws.http import HttpRequest
from sagedock.aws.model import Call, Shape
from sagedock.aws.protocols.base import Mismatch, text_of_value, value_from_text

_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Members of the path, the query and the headers. Raises Mismatch, whose path is the name
    on the wire."""
    shape = model.operation(call.service, call.operation).input
    if shape is None:
        return {}
    labels = rest.labels(call.service, call.operation, call.path)
    query = rest.query_values(request.query)
    found: dict[str, Any] = {}
    for name, member in shape.members.items():
        wire_name = member.wire_name or name
        value: Any = None
        if member.location == "uri" and wire_name in labels:
            value = _read(member, wire_name, labels[wire_name])
        elif member.location == "querystring" and wire_name in query:
            value = _from_query(member, wire_name, query[wire_name])
        elif member.location == "header" and wire_name.lower() in request.headers:
            value = _from_header(member, wire_name, request.headers[wire_name.lower()])
        elif member.location == "headers":
            value = _prefixed(wire_name.lower(), request.headers)
        if value is not None:
            found[name] = value
    return found


def _read(shape: Shape, wire_name: str, text: str) -> Any:
    try:
        return value_from_text(shape, text)
    except Mismatch as mismatch:
        raise mismatch.at(wire_name) from None


def _from_query(shape: Shape, wire_name: str, values: list[str]) -> Any:
    if shape.kind == "list":
        return [_read(shape.member, wire_name, text) for text in values]
    return _read(shape, wire_name, values[-1])


def _from_header(shape: Shape, wire_name: str, text: str) -> Any:
    if shape.kind == "list":
        return [_read(shape.member, wire_name, item) for item in _items(text)]
    if shape.kind == "timestamp":
        try:
            return value_from_text(shape, text)
        except Mismatch:
            # HTTP wants an unreadable date to be treated as if it were not there
            # (RFC 9110, 13.1.3), and S3 stores any text as Expires.
            return None
    return _read(shape, wire_name, text)


def _items(text: str) -> list[str]:
    """A header's list; items that hold a comma or a quote are quoted."""
    items, place = [], 0
    while place < len(text):
        found = _LIST_ITEM.match(text, place)
        if found is None:
            return [part.strip() for part in text.split(",")]
        quoted, plain = found.groups()
        items.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        place = found.end()
    return items


def _prefixed(prefix: str, headers: Mapping[str, str]) -> dict[str, str] | None:
    found = {
        name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)
    }
    return found or None


def response_headers(shape: Shape, answer: Mapping[str, Any]) -> dict[str, str]:
    """Those members of an answer, or of an error, that are headers."""
    headers: dict[str, str] = {}
    for name, member in shape.members.items():
        value = answer.get(name)
        if value is None:
            continue
        if member.location == "header":
            headers[member.wire_name or name] = _header_text(member, value)
        elif member.location == "headers":
            prefix = member.wire_name or ""
            headers.update({prefix + key: _safe(text) for key, text in value.items()})
    return headers


def status(shape: Shape | None, answer: Mapping[str, Any], otherwise: int) -> int:
    """The answer's own status, where a member of it is one."""
    for name, member in shape.members.items() if shape else ():
        if member.location == "statusCode" and answer.get(name) is not None:
            return int(answer[name])
    return otherwise


def _header_text(shape: Shape, value: Any) -> str:
    if shape.kind == "list":
        return ",".join(_header_text(shape.member, item) for item in value)
    return _safe(text_of_value(shape, value, "rfc822"))


def _safe(text: str) -> str:
    """Nothing that ends a header early: a presigned address may set some of them. What HTTP's
    Latin-1 cannot hold is encoded as S3 encodes such metadata (RFC 2047)."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    if text.isascii():
        return text
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode('ascii')}?="
