"""AWS's protocols: bytes to typed members, and answers and errors back to bytes.

Times are aware datetimes, blobs are bytes; which member is where comes from botocore's model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sagedock.aws.compression import plain_body
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call
from sagedock.aws.protocols import cbor, json, query, rest_json, rest_xml
from sagedock.aws.protocols.base import WireProtocol
from sagedock.aws.routing import Unrouted
from sagedock.errors import ServiceError

_PROTOCOLS: Final[Mapping[str, WireProtocol]] = {
    "json": json,
    "rest-json": rest_json,
    "rest-xml": rest_xml,
    "query": query,
    "cbor": cbor,
}

_DOCUMENTS: Final = frozenset({"json", "query", "cbor"})
"""Protocols whose body is one document, which a client may have packed."""


def parse(call: Call, request: HttpRequest) -> dict[str, Any]:
    """The members of a request. A streaming body (PutObject, InvokeEndpoint) is left out when
    `request.body` is empty. Raises ServiceError 400 in AWS's words for what cannot be read."""
    if call.protocol in _DOCUMENTS and "content-encoding" in request.headers:
        request = replace(request, body=plain_body(request))
    return _PROTOCOLS[call.protocol].parse(call, request)


def serialize(call: Call, answer: Mapping[str, Any], request_id: str) -> HttpResponse:
    """An answer on the wire: only members that the operation's output has, none that is None.

    A streaming body (GetObject, InvokeEndpoint) is not written, nor its Content-Length: the
    headers are all there is.
    """
    return _PROTOCOLS[call.protocol].serialize(call, answer, request_id)


def serialize_error(call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
    """An error on the wire, in the protocol of `call`; without one, in that of the client as far
    as routing could tell, else JSON."""
    if call is not None:
        protocol = call.protocol
    else:
        protocol = error.protocol if isinstance(error, Unrouted) else "json"
    return _PROTOCOLS[protocol].serialize_error(call, error, request_id)
