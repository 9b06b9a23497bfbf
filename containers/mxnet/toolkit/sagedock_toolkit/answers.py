"""HTTP answers as bytes, and what each generation's server itself says: /ping, errors, limits.

Answers of user code are written in `handlers`; here is what nginx and Flask (legacy, early) or the
multi-model-server (modern) answer without it.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl

from sagedock_toolkit.frames import Meta
from sagedock_toolkit.generations import Generation
from sagedock_toolkit.http_requests import Headers, RequestHead

JSON = "application/json"
HTML = "text/html; charset=utf-8"


class Answer(NamedTuple):
    """An answer to a client. No Content-Type header is sent where `content_type` is None."""

    status: int
    content_type: str | None
    body: bytes
    phrase: str = ""

    def head(self) -> bytes:
        return response_head(self.status, self.phrase, self.content_type, len(self.body))


@lru_cache(maxsize=1024)
def response_head(status: int, phrase: str, content_type: str | None, length: int) -> bytes:
    """Status line and headers, up to and including the empty line.

    Raises ValueError for a content type or phrase that would break out of its line.
    """
    if not phrase:
        phrase = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    if content_type is not None:
        lines.append("Content-Type: " + content_type)
    lines.append(f"Content-Length: {length}")
    for line in lines:
        if not line.isprintable():
            raise ValueError(f"a line of the response head has control characters: {line!r}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


_STATUSES = frozenset(int(status) for status in HTTPStatus)


def closing(head: bytes) -> bytes:
    """The same head, saying that the connection will be closed."""
    return head[:-2] + b"Connection: close\r\n\r\n"


class ServerRules(NamedTuple):
    """What the server of a generation does before and beside user code."""

    generation: Generation
    body_limit: int | None
    queue_limit: int

    @classmethod
    def of(cls, generation: Generation, workers: int) -> ServerRules:
        """MMS holds 100 jobs and takes 6553500 bytes (ConfigManager.java). gunicorn's gevent worker
        takes 1000 connections (container-support, serving.py) and nginx any size."""
        if generation is Generation.MODERN:
            return cls(generation, 6553500, 100)
        return cls(generation, None, 1000 * workers)

    @property
    def is_modern(self) -> bool:
        return self.generation is Generation.MODERN

    def ping(self, ready: int, workers: int) -> Answer:
        """Modern: always 200, the status in the body. Before: 200 with an empty body."""
        if not self.is_modern:
            return Answer(200, HTML, b"")
        status = "Healthy" if ready >= workers else "Partial Healthy" if ready else "Unhealthy"
        return Answer(200, JSON, _pretty({"status": status}))

    def meta(self, head: RequestHead) -> Meta:
        """What of the head goes to user code, looked up as this generation's server does."""
        if self.is_modern:
            return Meta(
                _modern_content_type(head.headers), _modern_accept(head.headers), head.query
            )
        names = {name.lower().replace("_", "-"): value for name, value in head.headers}
        content_type = names.get("contenttype") or names.get("content-type")
        return Meta(content_type, names.get("accept"), head.query)

    def refusal(self, head: RequestHead) -> Answer | None:
        """The answer to a request for neither /ping nor /invocations, or in a wrong method."""
        if self.is_modern:
            return self._modern_refusal(head)
        if not head.path.startswith(("/ping", "/invocations", "/execution-parameters")):
            return Answer(404, JSON, b"{}")  # nginx.conf.template: location / { return 404 "{}" }
        if head.path == "/ping" and head.method not in ("GET", "HEAD", "OPTIONS"):
            return self.error(405, "MethodNotAllowedException", "Method Not Allowed")
        if head.path == "/invocations" and head.method != "POST":
            return self.error(405, "MethodNotAllowedException", "Method Not Allowed")
        if head.path not in ("/ping", "/invocations"):
            return self.error(404, "ResourceNotFoundException", "Not Found")
        return None

    def _modern_refusal(self, head: RequestHead) -> Answer | None:
        if head.path not in ("/ping", "/invocations"):
            return self.error(
                404, "ResourceNotFoundException",
                f"There is no {head.path} here, only /ping and /invocations.",
            )  # fmt: skip
        named = [value for name, value in parse_qsl(head.query) if name == "model_name"]
        if named and named[0] != "model":  # the name under which AWS's toolkit registers the model
            return self.error(404, "ModelNotFoundException", f"Model not found: {named[0]}")
        if head.path == "/invocations" and head.method != "POST":
            return self.error(
                405, "MethodNotAllowedException",
                f"{head.method} is not allowed, /invocations takes POST.",
            )  # fmt: skip
        return None

    def error(self, status: int, kind: str, message: str) -> Answer:
        """An error that user code has no part in."""
        if self.is_modern:
            return Answer(status, JSON, _pretty({"code": status, "type": kind, "message": message}))
        return Answer(status, HTML, html_page(status))

    def bad_request(self, status: int, why: str) -> Answer:
        """The request could not be read; `why` is for whoever wrote the client."""
        if status == 413:
            return Answer(413, None, b"")
        if self.is_modern:
            return self.error(status, "BadRequestException", why)
        return Answer(status, "text/plain; charset=utf-8", (why + "\n").encode())

    def queue_full(self) -> Answer:
        return self.error(
            503, "ServiceUnavailableException", "No worker is available to serve request: model"
        )

    def worker_died(self) -> Answer:
        """MMS says so in JSON; before it, nginx lost its upstream and said 502."""
        if self.is_modern:
            return self.error(500, "InternalServerException", "Worker died.")
        return Answer(502, HTML, html_page(502))

    def timed_out(self) -> Answer:
        """MMS gives a timed out worker up like a dead one; before it, nginx said 504."""
        if self.is_modern:
            return self.worker_died()
        return Answer(504, HTML, html_page(504))


def html_page(status: int) -> bytes:
    """A page as short as nginx's and Flask's own."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return f"<html><head><title>{title}</title></head><body>{title}</body></html>\n".encode()


def _pretty(value: object) -> bytes:
    """MMS writes indented JSON and a newline (NettyUtils.java, JsonUtils.GSON_PRETTY)."""
    return (json.dumps(value, indent=2) + "\n").encode()


_CONTENT_TYPE = re.compile("[Cc]ontent-?[Tt]ype")


def _modern_content_type(headers: Headers) -> str | None:
    """The first header that begins so in the client's own spelling: CONTENT-TYPE is missed
    (sagemaker-inference-toolkit, utils.py)."""
    return next((value for name, value in headers if _CONTENT_TYPE.match(name)), None)


def _modern_accept(headers: Headers) -> str | None:
    found = dict(headers)
    return found.get("Accept") or found.get("accept")
