"""One invocation: from the client's connection to a model server's and back, as bytes.

No copy of a body: parts go on as they come, and each side is read only as fast as the other takes
it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from sagedock.domain.routes import EndpointRoute, ModelServer, VariantRoute
from sagedock.errors import ServiceError
from sagedock.server import invocations
from sagedock.server.fast_lane import FastLane, new_request_id
from sagedock.server.invocations import Asked, Failure, RawHeaders
from sagedock.server.upstream import Connection, Pool

_log = logging.getLogger(__name__)
_REPLAYABLE: Final = 256 * 1024
"""Bodies up to here are kept until the answer begins, so that they can be sent again; larger ones
get a connection of their own, which cannot be stale."""
_READ_AHEAD: Final = 64 * 1024


class Client(Protocol):
    """The connection an invocation came on: server/protocol.py, as far as it is used here."""

    url: bytes
    headers: RawHeaders
    expect_100_continue: bool
    transport: asyncio.Transport
    flow: FlowControl
    loop: asyncio.AbstractEventLoop
    server_state: ServerState
    invocation: Invocation | None

    def invocation_complete(self) -> None: ...


class _Nobody:
    """Stands for the asyncio.Event of uvicorn's cycle, on which nobody waits here."""

    def set(self) -> None: ...


class Invocation:
    """One invocation, from complete headers to complete answer.

    The first three members, `keep_alive` and `run_asgi` are what uvicorn's protocol touches of a
    cycle. What starts equal for all is a class attribute: most of it is never set.
    """

    response_complete = False
    disconnected = False
    message_event = _Nobody()

    _asked = Asked()
    _route: EndpointRoute
    _variant: VariantRoute
    _server: ModelServer | None = None
    _refused_by: frozenset[ModelServer] = frozenset()

    _is_started = False
    _is_serverless = False
    _received = 0  # bytes of the request's body
    _is_body_complete = False
    _is_head_sent = False

    _pool: Pool | None = None
    _connection: Connection | None = None
    _connecting: asyncio.Task[None] | None = None

    _status = 0  # of the container's answer, once it began
    _answer_head = b""  # to be written with the first part of the body
    _has_answered = False  # something was written to the client
    _collected: list[bytes] | None = None
    _collected_size = 0
    _is_paused = False
    _last_words = b""  # an error, written when the client has sent its whole body

    def __init__(self, lane: FastLane, client: Client, is_last: bool) -> None:
        self.keep_alive = not is_last
        self._lane = lane
        self._client = client
        self._url = client.url.partition(b"?")[0]
        self._headers = client.headers
        self._asks_to_continue = client.expect_100_continue
        self._parts: list[bytes] = []  # of the body, not yet written to the model server
        self._kept: list[bytes] = []  # of the request, written, for a second try

    # --- called by the client's connection -----------------------------------------------------

    def start(self) -> None:
        """The connection is ours to answer on."""
        self._is_started = True
        self._client.invocation = self
        lane = self._lane
        try:
            self._asked = invocations.read_headers(self._headers)
            lane.admit(self._asked, self._headers)
            if self._asked.length is None:
                lane.check_size(self._received)  # what came while this one waited in the pipeline
            self._route, self._variant = lane.choose(self._url, self._asked)
            if self._variant.is_serverless:
                self._is_serverless = True
                length = self._asked.length
                lane.check_size(self._received if length is None else length, True)
        except ServiceError as error:
            self._refuse(error)
            return
        if self._asks_to_continue:
            self._asks_to_continue = False
            self._client.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        lane.began(self, self._client.loop)
        self._reach()

    async def run_asgi(self, app: Any) -> None:
        """How uvicorn starts a cycle that waited in the pipeline."""
        self._client.flow.resume_reading()
        self.start()

    def received(self, data: bytes) -> None:
        """A part of the request's body."""
        if self.response_complete or self._last_words:
            return
        self._received += len(data)
        self._parts.append(data)
        if self._connection is not None:
            self._forward()
        if not self._parts:
            return
        if self._asked.length is not None:
            if self._received > _READ_AHEAD:
                self._client.flow.pause_reading()
            return
        try:
            self._lane.check_size(self._received, self._is_serverless)
        except ServiceError as error:
            self._refuse(error)

    def ended(self) -> None:
        """The request's body is complete."""
        self._is_body_complete = True
        if self._last_words:
            self._write_last_words()
        elif not self._is_head_sent and self._connection is not None:
            self._forward()  # no body, or a chunked one

    def client_lost(self) -> None:
        """There is nobody left to answer."""
        self.response_complete = True
        self._let_go()

    def pause_answer(self) -> None:
        if self._connection is not None and not self._is_paused:
            self._is_paused = True
            self._connection.transport.pause_reading()

    def resume_answer(self) -> None:
        if self._connection is not None and self._is_paused:
            self._is_paused = False
            self._connection.transport.resume_reading()

    # --- to the model server -------------------------------------------------------------------

    def _reach(self) -> None:
        """Get a connection to the least busy server that has not refused one."""
        pools = self._lane.pools
        servers: Sequence[ModelServer] = self._variant.servers
        if self._refused_by:
            servers = [server for server in servers if server not in self._refused_by]
        if not servers:
            self._fail(invocations.no_server(self._variant.name))
            return
        server = servers[0]
        if len(servers) > 1:
            server = min(servers, key=lambda s: pools.get(s.host, s.port).busy)
        self._server = server
        pool = self._pool = pools.get(server.host, server.port)
        pool.busy += 1
        length = self._asked.length
        connection = pool.idle() if length is not None and length <= _REPLAYABLE else None
        if connection is not None:
            self._use(connection)
        else:
            self._connecting = self._client.loop.create_task(self._connect(pool))

    async def _connect(self, pool: Pool) -> None:
        try:
            connection = await pool.connect()
        except OSError:
            assert self._server is not None
            self._refused_by |= {self._server}
            self._leave_pool()
            self._reach()
        else:
            self._use(connection)

    def _use(self, connection: Connection) -> None:
        self._connecting = None
        self._connection = connection
        connection.ask(self)
        if self._client.flow.write_paused:  # by an earlier answer on this connection
            self.pause_answer()
        if self._parts or self._is_body_complete:
            self._forward()
        if not self._is_body_complete:
            self._client.flow.resume_reading()

    def _forward(self) -> None:
        """Write what there is of the request; its head goes with the first part of its body.

        A chunked body is sent whole and with its length, as AWS does: many a container reads
        Content-Length and nothing else.
        """
        assert self._connection is not None
        parts = self._parts
        if not self._is_head_sent:
            if not self._is_body_complete and (not parts or self._asked.length is None):
                return
            self._is_head_sent = True
            parts.insert(0, self._request_head())
        if self._connection.is_reused:
            self._kept += parts
        self._parts = []
        self._connection.transport.write(b"".join(parts))

    def _request_head(self) -> bytes:
        assert self._server is not None
        length = self._received if self._asked.length is None else self._asked.length
        return b"%b%bcontent-length: %d\r\n\r\n" % (
            _request_line(self._server.host, self._server.port),
            self._asked.forwarded,
            length,
        )

    # --- upstream.Reader -----------------------------------------------------------------------

    def pause_request(self) -> None:
        if not self._is_body_complete:
            self._client.flow.pause_reading()

    def resume_request(self) -> None:
        if not self._is_body_complete:
            self._client.flow.resume_reading()

    def answer_began(self, status: int, headers: RawHeaders) -> None:
        self._status = status
        length, lines = invocations.read_answer_headers(headers)
        if length is not None and self._is_too_large(length):
            self._fail(invocations.answer_too_large(self._most_bytes))
        elif status >= 300 or length is None:
            self._collected = []
            self._answer_head = lines
        else:
            self._answer_head = self._head(lines, length)

    def answer_part(self, data: bytes) -> None:
        if self._collected is not None:
            self._collect(data)
        elif self._answer_head:
            self._write(self._answer_head + data)
            self._answer_head = b""
        else:
            self._write(data)

    def answer_ended(self, can_be_reused: bool) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        if self._is_paused:
            self._is_paused = False
            connection.transport.resume_reading()
        if can_be_reused and self._is_body_complete and self._is_head_sent:
            connection.free()
        else:
            connection.abandon()
        if self._collected is not None:
            self._answer_collected(b"".join(self._collected))
            return
        if self._answer_head:
            self._write(self._answer_head)
        self._finish()

    def answer_failed(self, was_reset: bool) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        if self._has_answered:
            _log.error("a model server of endpoint %s broke off its answer", self._route.name)
            self._client.transport.abort()
        elif connection.is_reused and not self._status and (was_reset or not self._is_head_sent):
            self._try_again()
        else:
            self._fail(invocations.hung_up())

    def _try_again(self) -> None:
        """The server had closed its idle connection while our request was under way, so it never
        saw it: send it again on a new one. (A server that died while it worked on the request
        closes without a reset, and must not be given the same request twice.)"""
        self._parts = self._kept + self._parts
        self._kept = []
        assert self._pool is not None
        self._connecting = self._client.loop.create_task(self._connect(self._pool))

    # --- to the client -------------------------------------------------------------------------

    def _collect(self, data: bytes) -> None:
        assert self._collected is not None
        self._collected_size += len(data)
        if self._status < 300 and self._is_too_large(self._collected_size):
            self._fail(invocations.answer_too_large(self._most_bytes))
        elif self._status < 300 or self._collected_size <= self._most_bytes:
            self._collected.append(data)

    def _answer_collected(self, body: bytes) -> None:
        if self._status >= 300:
            self._fail(Failure(self._status, body.decode("utf-8", "replace")))
            return
        self._write(self._head(self._answer_head, len(body)) + body)
        self._finish()

    @property
    def _most_bytes(self) -> int:
        """Of an answer."""
        limits = self._lane.limits
        return limits.serverless_bytes if self._is_serverless else limits.response_bytes

    def _is_too_large(self, size: int) -> bool:
        limits = self._lane.limits
        if size <= self._most_bytes or limits.mode == "off":
            return False
        if limits.mode == "strict":
            return True
        _log.warning("an answer of %d bytes: AWS refuses over %d", size, self._most_bytes)
        return False

    def _head(self, lines: bytes, length: int) -> bytes:
        """The head of a good answer. AWS answers 200 whatever 2xx the container chose: the API has
        no member for another."""
        return b"HTTP/1.1 200 OK\r\n%b%bx-amzn-requestid: %b\r\n%bcontent-length: %d\r\n\r\n" % (
            self._common_lines(),
            _variant_line(self._variant.name),
            new_request_id().encode(),
            lines,
            length,
        )

    def _common_lines(self) -> bytes:
        """What uvicorn says in every answer (the date), and whether this is the last."""
        lines = b""
        for name, value in self._client.server_state.default_headers:
            lines += b"%b: %b\r\n" % (name, value)
        return lines if self.keep_alive else lines + b"connection: close\r\n"

    def _write(self, data: bytes) -> None:
        self._has_answered = True
        self._client.transport.write(data)

    def time_over(self) -> None:
        """The model has had its time."""
        limits = self._lane.limits
        if limits.mode == "strict":
            self._fail(invocations.timed_out())
        else:
            _log.warning(
                "endpoint %s takes longer than %g s: AWS would have given up",
                self._route.name,
                limits.seconds,
            )

    def _fail(self, failure: Failure) -> None:
        if self._has_answered:  # the body had begun: only breaking off says that it is not whole
            self._client.transport.abort()
            return
        self._refuse(self._lane.model_error(failure, self._route, self._server))

    def _refuse(self, error: ServiceError) -> None:
        """Answer with an error, once the client has sent its whole body: one that is cut off while
        sending reports a broken connection and never reads why."""
        self._let_go()
        self._collected = None
        if self._asks_to_continue:  # it sends nothing before it sees an answer
            self.keep_alive = False
            self._is_body_complete = True
        answer = self._lane.error_answer(error)
        self._last_words = b"".join(
            (
                b"HTTP/1.1 %d %b\r\n" % (answer.status, HTTPStatus(answer.status).phrase.encode()),
                self._common_lines(),
                b"".join(f"{k}: {v}\r\n".encode("latin-1") for k, v in answer.headers.items()),
                b"content-length: %d\r\n\r\n" % len(answer.body),
                answer.body,
            )
        )
        if self._is_body_complete:
            self._write_last_words()
        else:
            self._client.flow.resume_reading()

    def _write_last_words(self) -> None:
        self._write(self._last_words)
        self._finish()

    def _finish(self) -> None:
        self._let_go()
        self.response_complete = True
        client = self._client
        client.invocation = None
        if not self.keep_alive:
            client.transport.close()
        client.invocation_complete()

    def _let_go(self) -> None:
        """Give back deadline, connection and buffers."""
        self._lane.ended(self)
        if self._connecting is not None:
            if self._connecting is not asyncio.current_task(self._client.loop):
                self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        self._leave_pool()
        self._parts.clear()
        self._kept.clear()

    def _leave_pool(self) -> None:
        if self._pool is not None:
            self._pool.busy -= 1
            self._pool = None


@lru_cache(maxsize=1024)
def _variant_line(name: str) -> bytes:
    return f"x-amzn-invoked-production-variant: {name}\r\n".encode()


@lru_cache(maxsize=1024)
def _request_line(host: str, port: int) -> bytes:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"POST /invocations HTTP/1.1\r\nhost: {address}\r\n".encode()
