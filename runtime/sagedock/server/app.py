"""The ASGI application: our own few pages, S3 by streams, and every other AWS request.

Invocations do not come here: server/protocol.py hands them to the fast lane before ASGI.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from sagedock.aws import routing
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call
from sagedock.errors import ServiceError
from sagedock.server.gateway import Gateway
from sagedock.server.limits import CONTROL_PLANE_BODY
from sagedock.server.origins import Fence
from sagedock.services.operation import Context

_log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Objects = Callable[[Call, HttpRequest, Context, Receive, Send], Awaitable[None]]
"""Answers one S3 call, streaming; may raise a ServiceError until it has begun its answer."""

OWN_PATHS: Final = "/_sagedock/"
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>sagedock</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}</style>
<h1>sagedock is running</h1>
<p>This is the AWS endpoint of an emulator. Point a client at it:</p>
<pre>export AWS_ENDPOINT_URL=http://HOST</pre>
<p>What it is: <a href="/_sagedock/info">/_sagedock/info</a></p>
"""


class ClientGone(Exception):
    """The client went away before its request was read whole; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of. `routers` bring further pages under /_sagedock/."""

    gateway: Gateway
    objects: Objects
    fence: Fence
    routers: Sequence[APIRouter] = ()


def create_app(parts: Parts) -> AsgiApp:
    """The whole HTTP face, in the order in which a request meets it."""
    pages = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    for router in parts.routers:
        pages.include_router(router)
    aws = _AwsRequests(parts.gateway, parts.objects)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan
            return await pages(scope, receive, send)
        head = request_head(scope)
        is_own = head.path.startswith(OWN_PATHS)
        refused = parts.fence.refusal(head.headers, is_page_visit=is_own or head.path == "/")
        if refused is not None:
            return await _send(_plain(403, refused), send)
        if is_own:
            return await pages(scope, receive, send)
        if _is_browser_visit(head):
            page = HTMLResponse(_PAGE.replace("HOST", _html_host(head)))
            return await page(scope, receive, send)
        return await aws(head, receive, send)

    return app


def request_head(scope: Scope) -> HttpRequest:
    """The request without its body."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
    )


class _AwsRequests:
    def __init__(self, gateway: Gateway, objects: Objects) -> None:
        self._gateway = gateway
        self._objects = objects

    async def __call__(self, head: HttpRequest, raw_receive: Receive, send: Send) -> None:
        receive = _Incoming(raw_receive)
        try:
            if _is_routed_by_head(head):
                call = routing.route(head)
                if call.service == "s3":
                    return await self._answer_s3(call, head, receive, send)
            body = await _read(head, receive)
            answer = await self._gateway.answer(replace(head, body=body), lambda: _gone(receive))
        except ServiceError as error:
            answer = self._gateway.refuse(None, error, self._gateway.context(head).request_id)
            await _discard(head, receive)
            if not receive.is_over:
                answer.headers["Connection"] = "close"
        except ClientGone:
            return None
        return await _send(answer, send)

    async def _answer_s3(
        self, call: Call, head: HttpRequest, receive: _Incoming, send: Send
    ) -> None:
        context = self._gateway.context(head)
        has_begun = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            return await self._objects(call, head, context, receive, watched)
        except ClientGone:
            return None
        except ServiceError as error:
            if has_begun:
                raise
            answer = self._gateway.refuse(call, error, context.request_id)
        except Exception:
            if has_begun:
                raise
            answer = self._gateway.own_fault(call, context.request_id)
        await _discard(head, receive)
        if not receive.is_over:
            # The parser waits for a body that will not come: the next request needs a connection
            # of its own.
            answer.headers["Connection"] = "close"
        return await _send(answer, send)


class _Incoming:
    """ASGI's `receive`, which remembers whether the request was read to its end."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_over = False

    async def __call__(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.is_over = True
        return message


def _is_routed_by_head(head: HttpRequest) -> bool:
    """False where only the body names the operation: the query protocol's `Action=` (STS, IAM)."""
    return not (
        head.method == "POST"
        and head.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    )


async def _read(head: HttpRequest, receive: Receive) -> bytes:
    """The whole body; raises a ServiceError with 413 beyond the limit, ClientGone on a hang-up."""
    limit = CONTROL_PLANE_BODY.value
    declared = head.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> ServiceError:
    return ServiceError(
        f"The request's body is larger than {CONTROL_PLANE_BODY.value} bytes, the most that"
        " sagedock reads for one request to the control plane.",
        code="RequestEntityTooLargeException",
        status=413,
    )


async def _discard(head: HttpRequest, receive: _Incoming) -> None:
    """Read what the client still sends, so that it comes to reading our answer: one that is cut
    off while sending reports a broken connection. One that waits for 100-continue sends nothing
    before it sees an answer, and is not asked to."""
    if head.headers.get("expect", "").lower() == "100-continue":
        return
    while not receive.is_over:
        await receive()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(answer: HttpResponse, send: Send) -> None:
    headers = dict(answer.headers)
    if not any(name.lower() == "content-length" for name in headers):
        headers["Content-Length"] = str(len(answer.body))
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": answer.body})


def _plain(status: int, text: str) -> HttpResponse:
    return HttpResponse(
        status, {"Content-Type": "text/plain; charset=utf-8"}, (text + "\n").encode()
    )


def _is_browser_visit(head: HttpRequest) -> bool:
    headers: Mapping[str, str] = head.headers
    return (
        head.method == "GET"
        and head.path == "/"
        and not head.query
        and "authorization" not in headers
        and "text/html" in headers.get("accept", "")
    )


def _html_host(head: HttpRequest) -> str:
    """The Host header, as far as it is safe inside HTML."""
    return "".join(c for c in head.host if c.isalnum() or c in ".-:[]")
