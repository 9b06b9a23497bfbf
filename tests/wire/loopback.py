"""Real boto3 clients whose requests end in our wire code instead of on a socket."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call
from sagedock.aws.protocols import parse, serialize, serialize_error
from sagedock.aws.routing import route
from sagedock.aws.validation import validate
from sagedock.errors import ServiceError

Answers = Callable[[Call, dict[str, Any]], dict[str, Any]]


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session("AKID", "secret", region_name="eu-west-1")


class _Raw(io.BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


@dataclass
class Loopback:
    """Answers every request with `answers`; remembers what it was asked."""

    answers: Answers = lambda call, params: {}
    calls: list[Call] = field(default_factory=list)
    params: list[dict[str, Any]] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)

    def client(
        self, service: str, endpoint: str | None = "http://localhost:4599", **s3: Any
    ) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3=s3 or None)
        client = _session().client(service, endpoint_url=endpoint, config=config)
        client.meta.events.register("before-send", self._before_send)
        return client

    def _before_send(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        response = self.handle(http_request(request))
        return AWSResponse(request.url, response.status, response.headers, _Raw(response.body))

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        call = None
        try:
            call = route(request)
            params = parse(call, request)
            validate(call, params)
            self.calls.append(call)
            self.params.append(params)
            return serialize(call, self.answers(call, params), "request-1")
        except ServiceError as error:
            return serialize_error(call, error, "request-1")


def http_request(request: AWSPreparedRequest) -> HttpRequest:
    """As our server reads it off the socket."""
    url = urlsplit(request.url)
    headers = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    body = body.encode() if isinstance(body, str) else bytes(body)
    return HttpRequest(request.method, url.path, url.query, {"host": url.netloc} | headers, body)
