"""The acceptor's side of the process that forks workers."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Callable

from sagedock_toolkit.pool import WorkerLink


class TemplateLink(asyncio.Protocol):
    """The acceptor's end of the socket pair to the template."""

    def __init__(
        self, ours: socket.socket, says: Callable[[bytes], None], lost: Callable[[bool], None]
    ) -> None:
        self._says = says
        self._lost = lost
        self._socket = ours
        self._transport: asyncio.Transport | None = None
        self._word = b""
        self._has_spoken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._word += data
        if self._word.endswith(b"\n"):
            self._has_spoken = True
            self._says(self._word[:-1])

    def fork(self, link: WorkerLink, theirs: socket.socket) -> None:
        """Ask for a worker that holds this end of a new socket pair."""
        descriptor = theirs.fileno().to_bytes(4, sys.byteorder)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor)]
        # One byte at a time into an otherwise unused socket: it never blocks.
        self._socket.sendmsg([b"f"], rights)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self._has_spoken)
