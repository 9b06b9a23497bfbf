"""One client's connection: HTTP in, HTTP out, one request at a time.

Requests are answered one after the other, in order; what a client sends ahead waits.
A request is gathered whole before a worker gets it, and an answer taken from the worker whole, so
that a slow client holds no worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Optional, Protocol, Tuple

from sagedock_toolkit.answers import Answer, ServerRules, closing
from sagedock_toolkit.http_requests import (
    HEAD_LIMIT,
    BadRequest,
    ChunkedBody,
    Pieces,
    RequestHead,
    add_piece,
)
from sagedock_toolkit.pool import WorkerPool
from sagedock_toolkit.reading import Receiver

HEAD_SECONDS = 30.0
"""A client has this long from the first byte of a head to its last (408)."""

BODY_SECONDS = 60.0
"""A client may pause this long within a body (408), as nginx allows by default."""

LINGER_SECONDS = 5.0
"""After a refusal in mid-request, what still comes is thrown away this long: closing at once would
reset the connection, and the client might lose the answer."""

_AHEAD = 64 * 1024
"""Bytes that a client may send ahead of its answer before reading from it is paused."""

Parsed = Tuple[RequestHead, bytes, Optional[Answer]]
"""A head, its encoded meta data for the worker, and the answer where it needs no worker."""


class Front(Protocol):
    """What a connection needs of the acceptor."""

    rules: ServerRules
    pool: WorkerPool
    connections: set[Connection]
    is_stopping: bool

    def time(self) -> float:
        """Seconds on the event loop's clock."""

    def parse(self, raw: bytes) -> Parsed:
        """Read a head. Raises BadRequest."""

    def ping(self, connection: Connection) -> None:
        """Answer /ping, now or later."""


class Connection(Receiver):
    """One client. It is itself the `Job` that the pool carries, since it has one at a time."""

    __slots__ = (
        "_ahead",
        "_chunked",
        "_closing",
        "_deadline",
        "_eof",
        "_front",
        "_head",
        "_lingering",
        "_missing",
        "_outgoing",
        "_paused",
        "_pool",
        "_reading_paused",
        "_transport",
        "body",
        "body_length",
        "is_busy",
        "meta",
    )  # fmt: skip

    def __init__(self, front: Front) -> None:
        self.meta = b""
        self.body: Pieces = []
        self.body_length = 0
        self._front = front
        self._pool = front.pool
        self._transport: asyncio.Transport | None = None
        self._head: RequestHead | None = None  # the request that is being read or answered
        self.is_busy = False  # read to its end, not yet answered
        self._ahead = b""  # bytes of a head that is not complete, or sent ahead of the answer
        self._missing = 0
        self._chunked: ChunkedBody | None = None
        self._outgoing: deque[bytes | bytearray] = deque()
        self._paused = False
        self._reading_paused = False
        self._closing = False  # after the answer under way
        self._lingering = False
        self._eof = False
        self._deadline = 0.0  # 0: nothing is expected of the client

    # ---- reading

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._front.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        if self.is_busy:
            self._keep_ahead(data)
            return
        try:
            if self._head is None:
                self._read_head(self._ahead + data if self._ahead else data)
            else:
                self._read_body(data)
        except BadRequest as error:
            self._refuse(error)

    def _read_head(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if end == 3 or end > HEAD_LIMIT:
            self._wait_for_head(data)
            return
        head, meta, refusal = self._front.parse(data[:end])
        self._head = head
        self._ahead = b""
        self._deadline = 0.0
        if refusal is not None or head.path == "/ping":
            # A body that nobody reads is not worth keeping the connection for.
            self._lingering = head.length != 0
            self._closing = self._lingering or not head.keep_alive
            self.is_busy = True
            self._ahead = data[end:]
            if refusal is not None:
                self.answer(refusal)
            else:
                self._front.ping(self)
            return
        self.meta = meta
        limit = self._front.rules.body_limit
        if limit is not None and head.length is not None and head.length > limit:
            raise BadRequest(f"The body is larger than {limit} bytes.", 413)
        self._closing = not head.keep_alive
        rest = data[end:]
        if head.length == len(rest):  # the whole request came in one piece
            self.body = [rest]
            self.body_length = head.length
            self.is_busy = True
            self._pool.submit(self)
            return
        self._begin_body(head, limit, rest)

    def _wait_for_head(self, data: bytes) -> None:
        if len(data) > HEAD_LIMIT:
            raise BadRequest(f"Request line and headers exceed {HEAD_LIMIT} bytes.", 431)
        # One empty line before a request is forgiven (RFC 9112, 2.2), bare line feeds are not.
        data = data[2:] if data.startswith(b"\r\n") else data
        if data.startswith(b"\n") or b"\n\n" in data:
            raise BadRequest("Lines of a request end with CRLF.")
        self._ahead = data
        if not self._deadline and data:
            self._deadline = self._front.time() + HEAD_SECONDS

    def _begin_body(self, head: RequestHead, limit: int | None, rest: bytes) -> None:
        self.body = []
        if head.length is None:
            self._chunked = ChunkedBody(limit)
        else:
            self.body_length = self._missing = head.length
        if head.expects_continue and not rest and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        self._deadline = self._front.time() + BODY_SECONDS
        if self._chunked is not None:
            self._ahead = self._chunked.feed(data)
            if not self._chunked.complete:
                return
            self.body, self.body_length = self._chunked.parts, self._chunked.length
            self._chunked = None
        else:
            if len(data) > self._missing:
                data, self._ahead = data[: self._missing], data[self._missing :]
            self._missing -= len(data)
            add_piece(self.body, data)
            if self._missing:
                return
        self._deadline = 0.0
        self.is_busy = True
        self._pool.submit(self)

    def _keep_ahead(self, data: bytes) -> None:
        self._ahead += data
        if len(self._ahead) > _AHEAD and self._transport is not None:
            self._transport.pause_reading()
            self._reading_paused = True

    # ---- answering

    def answered(self, parts: list[bytes], head_length: int) -> None:
        """The worker's answer, of which only the head may have to be changed."""
        transport = self._transport
        if transport is None:
            return
        if self._closing or self._front.is_stopping or self._eof:
            self._closing = True
            whole = b"".join(parts)
            parts = [closing(whole[:head_length]), whole[head_length:]]
        self.body = []
        if len(parts) == 1 and not self._outgoing and not self._paused:
            transport.write(parts[0])
            self._next()
            return
        self._outgoing.extend(parts)
        self._pump()

    def answer(self, answer: Answer) -> None:
        """An answer of the server itself."""
        head = answer.head()
        if self._head is not None and self._head.method == "HEAD":
            self.answered([head], len(head))
        else:
            self.answered([head + answer.body], len(head))

    def refused(self) -> None:
        self.answer(self._front.rules.queue_full())

    def worker_died(self) -> None:
        self.answer(self._front.rules.worker_died())

    def timed_out(self) -> None:
        self.answer(self._front.rules.timed_out())

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that is not read any further, and close."""
        self._closing = self.is_busy = self._lingering = True
        self._ahead = b""
        self.answer(self._front.rules.bad_request(error.status, str(error)))

    def _pump(self) -> None:
        """Write while the client takes it: what is written beyond that would be copied."""
        transport = self._transport
        while self._outgoing and not self._paused:
            if transport is None:
                return
            transport.write(self._outgoing.popleft())
        if not self._outgoing and self.is_busy:
            self._next()

    def _next(self) -> None:
        """The answer is on its way: close, or go on with what the client sent meanwhile."""
        self._head = None
        self.is_busy = False
        if self._closing:
            self._close()
            return
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._ahead:
            # Not called from here: a long pipeline would nest as deep as it is long.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._transport is not None and not self.is_busy and self._head is None and self._ahead:
            data, self._ahead = self._ahead, b""
            self.data_received(data)

    # ---- the end

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._pump()

    def eof_received(self) -> bool:
        """A client may close its side and still read: a request with a worker is answered.

        One that still waits is given up, as nginx does: most clients that close have left.
        """
        self._eof = True
        return self.is_busy and not self._pool.withdraw(self)

    @property
    def is_idle(self) -> bool:
        """No request is being read or answered."""
        return self._head is None and not self.is_busy

    def close_if_idle(self) -> None:
        if self.is_idle and self._transport is not None:
            self._close()

    def check_patience(self, now: float) -> None:
        """Give the client up when it has kept us waiting for too long."""
        if not self._deadline or now < self._deadline or self._transport is None:
            return
        if self._lingering:
            self._transport.abort()
        else:
            self._refuse(BadRequest("The request did not come in time.", 408))

    def _close(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._lingering and not self._eof and transport.can_write_eof():
            transport.write_eof()
            self._deadline = self._front.time() + LINGER_SECONDS
        else:
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._front.connections.discard(self)
        if self.is_busy:
            self._pool.withdraw(self)
        self.body = []
        self._outgoing.clear()
