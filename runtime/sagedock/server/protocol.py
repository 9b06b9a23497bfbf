"""One TCP connection: uvicorn's HTTP protocol with two ways past ASGI.

`POST /endpoints/NAME/invocations` goes to the fast lane and `CONNECT host:port` to the proxy, at
the moment the headers are complete; all else goes on to ASGI as uvicorn does it. All three share
the connection, its keep-alive and its pipeline.

Written against uvicorn 0.30 to 0.54. What is used of HttpToolsProtocol's inside is listed in
`UVICORN_INTERNALS`, and a test checks that it is there. uvicorn calls what answers a request a
*cycle*; an `Invocation` has the few members of it that uvicorn touches.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sagedock.server.connect_proxy import ConnectProxy, no_plain_http
from sagedock.server.fast_lane import FastLane
from sagedock.server.invocation import Invocation
from sagedock.server.origins import Fence, is_aws, is_loopback
from sagedock.server.zero_copy import ZeroCopySend

_log = logging.getLogger(__name__)
UVICORN_INTERNALS: Final = (
    "app",
    "app_state",
    "config",
    "cycle",
    "expect_100_continue",
    "flow",
    "headers",
    "loop",
    "parser",
    "pipeline",
    "server_state",
    "timeout_keep_alive",
    "timeout_keep_alive_task",
    "transport",
    "url",
)
_HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Lanes:
    """The ways past ASGI."""

    invocations: FastLane
    proxy: ConnectProxy
    fence: Fence

    def close(self) -> None:
        """Close what they hold; on the event loop."""
        self.invocations.close()
        self.proxy.close()


class ServerProtocol(HttpToolsProtocol):
    """What uvicorn makes for each connection, and the proxy for each TLS session inside one."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        lanes: Lanes,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._lanes = lanes
        self._early = b""
        self._is_connect = False
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self.invocation: Invocation | None = None  # the one that is being answered

    def sibling(self) -> ServerProtocol:
        """A new protocol of the same server, for the inside of a TLS session."""
        return ServerProtocol(
            self.config, self.server_state, self.app_state, self.loop, lanes=self._lanes
        )

    # --- the connection ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        ours, peer = (transport.get_extra_info(name) for name in ("sockname", "peername"))
        if ours and peer and not self._lanes.fence.admits(ours[0], peer[0]):
            transport.abort()
            return
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self.invocation is not None:
            self.invocation.client_lost()
            self.invocation = None

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            # Inside TLS the first bytes may come before connection_made: loop.start_tls leaves
            # that call to its caller, one turn of the loop after the handshake.
            self._early += data
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._is_connect:
                self._lanes.proxy.open(self, self.url, data[upgrade.args[0] :])
            elif self.cycle is not None:
                # `Upgrade: h2c` (Java's client asks for it): not taken up, which is allowed, but
                # the parser has stopped, so this request is the connection's last.
                self.cycle.keep_alive = False
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, httptools.HttpParserInvalidURLError):
                self.send_400_response("The request's target is no path and no URL.")
            else:
                _log.exception("sagedock failed while it read a request")
                self.transport.abort()
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.invocation is not None:
            self.invocation.pause_answer()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.invocation is not None:
            self.invocation.resume_answer()

    # --- one request ---------------------------------------------------------------------------

    def on_headers_complete(self) -> None:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._is_connect = True
            return
        if self.url[:1] == b"/":
            self.app = self.config.loaded_app
        else:
            self._take_absolute_form()
        if method == b"POST" and self._lanes.invocations.takes(self.url):
            self._enter_fast_lane()
        else:
            previous = self.cycle
            super().on_headers_complete()
            if self.cycle is not previous:
                self.cycle.send = ZeroCopySend(self.cycle)  # type: ignore[assignment, method-assign]

    def _enter_fast_lane(self) -> None:
        previous = self.cycle
        invocation = Invocation(
            self._lanes.invocations,
            self,
            is_last=self.parser.get_http_version() == "1.0" or not self.parser.should_keep_alive(),
        )
        self.cycle = invocation  # type: ignore[assignment]
        if previous is None or previous.response_complete:
            invocation.start()
        else:
            # Pipelined: uvicorn starts it, by `run_asgi`, once the earlier answer is complete.
            self.flow.pause_reading()
            self.pipeline.appendleft((invocation, self.app))  # type: ignore[arg-type]

    def invocation_complete(self) -> None:
        """An invocation was answered whole."""
        if self.pipeline:
            self.on_response_complete()
            return
        # As uvicorn does it, but with one timer per connection and not one per answer.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None and not self.transport.is_closing():
            self._watch_idleness(self.timeout_keep_alive)

    def _watch_idleness(self, seconds: float) -> None:
        self._idle_timer = self.loop.call_later(seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        self._idle_timer = None
        if self.transport.is_closing() or self.timeout_keep_alive_task is not None:
            return  # it ends, or uvicorn's own timer runs
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if not self.cycle.response_complete:
            self._watch_idleness(self.timeout_keep_alive)
        elif left > 0:
            self._watch_idleness(left)
        else:
            self.transport.close()

    def on_body(self, body: bytes) -> None:
        if self._is_connect:
            return
        if isinstance(self.cycle, Invocation):
            self.cycle.received(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._is_connect:
            return
        if isinstance(self.cycle, Invocation):
            self.cycle.ended()
        else:
            super().on_message_complete()

    def _take_absolute_form(self) -> None:
        """`GET http://host/path`: from a client that was told to use us as its HTTP proxy. An AWS
        host is served here, and its name wins over the Host header (RFC 9112, 3.2.2)."""
        asked = httptools.parse_url(self.url)
        host = (asked.host or b"").decode("latin-1").lower()
        port = asked.port or _HTTP_PORT
        is_own = self.server is not None and port == self.server[1] and is_loopback(host)
        self.app = self.config.loaded_app if is_own or is_aws(host) else no_plain_http
        name = host if port == _HTTP_PORT else f"{host}:{port}"
        self.headers[:] = [(k, v) for k, v in self.headers if k != b"host"]
        self.headers.append((b"host", name.encode("latin-1")))
        query = b"?" + asked.query if asked.query else b""
        self.url = (asked.path or b"/") + query
