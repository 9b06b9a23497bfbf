"""The query protocol: a form in, XML out. STS, IAM, and CloudWatch for older clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagedock.aws import model, rest
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Shape
from sagedock.aws.protocols import xml
from sagedock.aws.protocols.base import Mismatch, value_from_text
from sagedock.errors import ServiceError

Node = dict[str, Any]
"""A form's dotted keys as a tree; what stands at a key itself is under the empty name."""


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The request's members, from the body's form and the query. Raises MalformedInput (400)."""
    shape = model.operation(call.service, call.operation).input
    if shape is None:
        return {}
    try:
        found = _structure(shape, _tree(_fields(request)))
    except Mismatch as mismatch:
        raise mismatch.error("MalformedInput") from mismatch
    return found


def _fields(request: HttpRequest) -> dict[str, str]:
    try:
        body = request.body.decode("ascii")
    except UnicodeDecodeError as error:
        raise Mismatch("The request body is not percent-encoded text") from error
    values = {**rest.query_values(request.query), **rest.query_values(body)}
    return {key: found[-1] for key, found in values.items()}


def _tree(fields: Mapping[str, str]) -> Node:
    root: Node = {}
    for key, text in fields.items():
        node = root
        for part in key.split("."):
            node = node.setdefault(part, {})
        node[""] = text
    return root


def _structure(shape: Shape, node: Node) -> dict[str, Any]:
    found = {}
    for name, member in shape.members.items():
        # A flattened list goes by the name of its members, like in XML.
        wire_name = member.wire_name or name
        if member.kind == "list" and member.is_flattened and member.member.wire_name:
            wire_name = member.member.wire_name
        if wire_name in node:
            found[name] = _at(wire_name, member, node[wire_name])
    return found


def _at(place: str, shape: Shape, node: Node) -> Any:
    try:
        return _value(shape, node)
    except Mismatch as mismatch:
        raise mismatch.at(place) from None


def _value(shape: Shape, node: Node) -> Any:
    if shape.kind == "structure":
        return _structure(shape, node)
    if shape.kind == "list":
        items = node if shape.is_flattened else node.get(shape.member.wire_name or "member", {})
        return [_at(place, shape.member, items[place]) for place in _places(items)]
    if shape.kind == "map":
        return _map(shape, node if shape.is_flattened else node.get("entry", {}))
    if "" not in node:
        raise Mismatch("Unexpected complex element")
    return value_from_text(shape, node[""])


def _map(shape: Shape, entries: Node) -> dict[str, Any]:
    key_name = shape.key.wire_name or "key"
    value_name = shape.value.wire_name or "value"
    found = {}
    for place in _places(entries):
        entry = entries[place]
        if key_name not in entry or value_name not in entry:
            raise Mismatch("A map's entry needs a key and a value").at(place)
        found[_at(key_name, shape.key, entry[key_name])] = _at(
            value_name, shape.value, entry[value_name]
        )
    return found


def _places(items: Node) -> list[str]:
    """The numbers under a list, in order; gaps are closed."""
    places = [place for place in items if place]
    if not all(place.isascii() and place.isdigit() and len(place) < 10 for place in places):
        raise Mismatch("A list's members are numbered from 1")
    return sorted(places, key=int)


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    shape = model.output_shape(call)
    out = [f'<{call.operation}Response xmlns="{_namespace(call)}">']
    if shape and shape.result_wrapper:
        xml.write(out, shape.result_wrapper, shape, answer)
    elif shape:
        xml.write_members(out, shape, answer)
    out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
    out.append(f"</{call.operation}Response>")
    return HttpResponse(200, _headers(request_id), "".join(out).encode())


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    shape = model.error_shape(call.service, error.code) if call else None
    code = (shape.error_code if shape else None) or error.code
    blame = "Sender" if error.status < 500 else "Receiver"
    namespace = f' xmlns="{_namespace(call)}"' if call else ""
    out = [f"<ErrorResponse{namespace}><Error><Type>{blame}</Type>"]
    out.append(f"<Code>{xml.escaped(code)}</Code><Message>{xml.escaped(error.message)}</Message>")
    for name, value in error.fields.items():
        member = shape.members.get(name) if shape else None
        if member:
            xml.write(out, member.wire_name or name, member, value)
        else:
            out.append(f"<{name}>{xml.escaped(str(value))}</{name}>")
    out.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>")
    return HttpResponse(error.status, _headers(request_id) | error.headers, "".join(out).encode())


def _namespace(call: Call) -> str:
    namespace: str = model.metadata(call.service).get("xmlNamespace", "")
    return namespace


def _headers(request_id: str) -> dict[str, str]:
    return {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}
