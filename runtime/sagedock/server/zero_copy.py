"""Bytes of a file to a client without bringing them into this process.

ASGI has a message for it, `http.response.zerocopysend`
(https://asgi.readthedocs.io/en/latest/extensions.html#zero-copy-send), which uvicorn does not know:
`ZeroCopySend` stands in front of a request's `send` and does it with sendfile(2).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import MutableMapping
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

MESSAGE: Final = "http.response.zerocopysend"

UVICORN_INTERNALS: Final = ("disconnected", "expected_content_length", "flow", "transport")
"""What is used of RequestResponseCycle's inside."""


class ZeroCopySend:
    """The `send` of one request, which also takes `file` (opened), `offset` and `count`."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send: Any = cycle.send

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] != MESSAGE:
            await self._send(message)
            return
        file, offset, count = message["file"], message["offset"], message["count"]
        more = message.get("more_body", False)
        cycle = self._cycle
        if cycle.flow.write_paused:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        try:
            loop = asyncio.get_running_loop()
            await loop.sendfile(cycle.transport, file, offset, count, fallback=False)
        except ConnectionError:
            cycle.transport.abort()
            return
        except (asyncio.SendfileNotAvailableError, NotImplementedError, RuntimeError):
            # A TLS session, another event loop than asyncio's, or a connection that is closing.
            data = os.pread(file.fileno(), count, offset)
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            return
        cycle.expected_content_length -= count
        if not more:
            await self._send({"type": "http.response.body", "body": b""})
