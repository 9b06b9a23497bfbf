"""Keep-alive connections to model servers: one asyncio protocol each, one pool per server.

No HTTP client library: a general one costs a millisecond of CPU a call, ten times what the whole
way through here takes. The body parts of an answer are passed on as they come.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Protocol, cast

import httptools

_log = logging.getLogger(__name__)
_CONNECT_SECONDS: Final = 5.0
_IDLE_KEPT: Final = 256


class Reader(Protocol):
    """Who reads the answer to what it wrote on a connection."""

    def answer_began(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Status and headers (lower-case names) are here."""

    def answer_part(self, data: bytes) -> None:
        """A piece of the body."""

    def answer_ended(self, can_be_reused: bool) -> None:
        """The body is complete; the connection is free again if `can_be_reused`."""

    def answer_failed(self, was_reset: bool) -> None:
        """The connection is gone before the answer was complete; `was_reset`: by a TCP reset, as
        when the server had closed it before it read our request."""

    def pause_request(self) -> None:
        """The server reads more slowly than we write."""

    def resume_request(self) -> None:
        """The server has caught up."""


class Connection(asyncio.Protocol):
    """One connection to a model server; serves one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reader: Reader | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpResponseParser(self)
        self._has_length = False
        self._is_informational = False
        self.transport: asyncio.Transport
        self.is_reused = False

    def ask(self, reader: Reader) -> None:
        """From now on `reader` hears what comes back; it writes its request on `transport`."""
        self._reader = reader
        self._headers = []
        self._has_length = False

    def free(self) -> None:
        """The exchange is over and the connection may serve another."""
        self._reader = None
        self.is_reused = True
        self._pool.keep(self)

    def abandon(self) -> None:
        """The exchange is over and the connection with it."""
        self._reader = None
        self.transport.abort()

    # --- asyncio.Protocol ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self.transport.abort()  # it speaks without being asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            _log.exception("sagedock failed on the answer of a model server")
            self._fail(was_reset=False)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(was_reset=False)  # it does not speak HTTP

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if self._reader is None:
            return
        if exc is None and self._headers and not self._has_length:
            self._end(can_be_reused=False)  # a body that ends with the connection (HTTP/1.0)
        else:
            self._fail(was_reset=exc is not None)

    def pause_writing(self) -> None:
        if self._reader is not None:
            self._reader.pause_request()

    def resume_writing(self) -> None:
        if self._reader is not None:
            self._reader.resume_request()

    # --- httptools -----------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._has_length = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._is_informational = status < 200
        if self._is_informational:
            self._headers = []
        elif self._reader is not None:
            self._reader.answer_began(status, self._headers)

    def on_body(self, body: bytes) -> None:
        if self._reader is not None:
            self._reader.answer_part(body)

    def on_message_complete(self) -> None:
        if not self._is_informational:
            self._end(can_be_reused=self._parser.should_keep_alive())

    def _end(self, can_be_reused: bool) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.answer_ended(can_be_reused)

    def _fail(self, was_reset: bool) -> None:
        reader, self._reader = self._reader, None
        self.transport.abort()
        if reader is not None:
            reader.answer_failed(was_reset)


class Pool:
    """The connections to one model server.

    `busy` is the number of invocations that are under way on it.
    """

    def __init__(self, host: str, port: int) -> None:
        self.busy = 0
        self._host = host
        self._port = port
        self._idle: deque[Connection] = deque()
        self._is_closed = False

    @property
    def is_unused(self) -> bool:
        return not self.busy and not self._idle

    def idle(self) -> Connection | None:
        """A kept connection, the one used last; None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def connect(self) -> Connection:
        """A new connection; raises OSError."""
        loop = asyncio.get_running_loop()
        connecting = loop.create_connection(lambda: Connection(self), self._host, self._port)
        try:
            _, connection = await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        except asyncio.TimeoutError as error:
            raise ConnectionRefusedError(
                f"{self._host}:{self._port} took no connection in {_CONNECT_SECONDS:.0f} s"
            ) from error
        return connection

    def keep(self, connection: Connection) -> None:
        if self._is_closed or len(self._idle) >= _IDLE_KEPT:
            connection.transport.close()
        else:
            self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close what is idle now, and the rest as it becomes so."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().transport.close()


class Pools:
    """The pools of all model servers, by address."""

    def __init__(self) -> None:
        self._by_address: dict[tuple[str, int], Pool] = {}

    def get(self, host: str, port: int) -> Pool:
        pool = self._by_address.get((host, port))
        if pool is None:
            self._drop_unused()
            pool = self._by_address[host, port] = Pool(host, port)
        return pool

    def close(self) -> None:
        for pool in self._by_address.values():
            pool.close()
        self._by_address.clear()

    def _drop_unused(self) -> None:
        # Endpoints come and go, each on ports of its own: forget those that are gone.
        unused = [address for address, pool in self._by_address.items() if pool.is_unused]
        for address in unused:
            del self._by_address[address]
