"""REST with JSON bodies: the SageMaker runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagedock.aws import model
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call, Shape
from sagedock.aws.protocols import json, locations
from sagedock.aws.protocols.base import Mismatch
from sagedock.errors import ServiceError


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The request's members. Raises SerializationException (400)."""
    operation = model.operation(call.service, call.operation)
    shape = operation.input
    if shape is None:
        return {}
    try:
        found = locations.parse(call, request)
    except Mismatch as mismatch:
        raise mismatch.error() from mismatch
    if shape.payload and shape.payload_shape:
        if request.body or not operation.streams_input:
            found.update(_payload(shape.payload, shape.payload_shape, request.body))
    else:
        found.update(json.read_document(shape, request.body))
    return found


def _payload(name: str, shape: Shape, body: bytes) -> dict[str, Any]:
    if shape.kind == "blob":
        return {name: body}
    return {name: json.read_document(shape, body)} if body else {}


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    operation = model.operation(call.service, call.operation)
    shape = operation.output
    headers = {"x-amzn-RequestId": request_id}
    status = locations.status(shape, answer, operation.status)
    if shape is None:
        return HttpResponse(status, headers)
    headers |= locations.response_headers(shape, answer)
    payload = shape.payload_shape
    if operation.streams_output:
        return HttpResponse(status, headers)
    if payload and payload.kind == "blob":
        return HttpResponse(status, headers, bytes(answer.get(shape.payload or "") or b""))
    headers.setdefault("Content-Type", "application/json")
    inner = payload or shape
    value = answer.get(shape.payload or "") or {} if payload else answer
    body = {
        name: json.write(member, value[name])
        for name, member in inner.members.items()
        if not member.location and value.get(name) is not None
    }
    return HttpResponse(status, headers, json.document(body))


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    shape = model.error_shape(call.service, error.code) if call else None
    headers = {
        "Content-Type": "application/json",
        "x-amzn-RequestId": request_id,
        "x-amzn-ErrorType": error.code,
    }
    if shape:
        headers |= locations.response_headers(shape, error.fields)
    body = json.document(json.error_members(shape, error))
    return HttpResponse(error.status, headers | error.headers, body)
