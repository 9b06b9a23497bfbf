"""CONNECT on our own port: AWS's hosts are answered here, every other host is tunnelled untouched.

A client gets here by `HTTPS_PROXY`. For a host of AWS the TLS session is ended on the connection,
with a certificate of our own authority, and the requests inside are served like any others. To
other hosts a tunnel is opened, through the proxy that the user's own environment names where it
does; what flows in it is theirs, and TLS keeps it from us.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from sagedock.server.certificates import Authority
from sagedock.server.neighbours import Neighbours
from sagedock.server.origins import is_aws, is_loopback

_log = logging.getLogger(__name__)
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CONNECT_SECONDS: Final = 20.0
_HANDSHAKE_SECONDS: Final = 20.0
_MOST_HEAD: Final = 65536


class Client(Protocol):
    """The connection a CONNECT came on: server/protocol.py, as far as it is used here."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    connections: set[Any]

    def sibling(self) -> asyncio.Protocol:
        """A new protocol of the same server, for what is inside a TLS session."""


class Refused(Exception):
    """A tunnel that cannot be: `status` and one sentence for the client."""

    def __init__(self, status: str, said: str) -> None:
        super().__init__(said)
        self.status = status


class ConnectProxy:
    """`environment` is that of the emulator's start: HTTPS_PROXY and NO_PROXY in it are the user's
    own and are honoured for tunnels, which are opened for `neighbours` only: an open proxy is
    somebody else's way into a network."""

    def __init__(
        self,
        authority: Authority,
        environment: Mapping[str, str],
        neighbours: Neighbours | None = None,
    ) -> None:
        self._authority = authority
        self._neighbours = neighbours or Neighbours()
        self._proxies = _user_proxies(environment)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tunnels: set[asyncio.Transport] = set()

    def open(self, client: Client, target: bytes, early: bytes) -> None:
        """Take the connection over after its CONNECT; `early` is what came right behind it."""
        client.connections.discard(client)  # the server no longer speaks HTTP on it
        client.transport.pause_reading()
        task = client.loop.create_task(self._open(client, target.decode("latin-1"), early))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """End all tunnels; on the event loop."""
        for task in self._tasks:
            task.cancel()
        for transport in tuple(self._tunnels):
            transport.abort()

    async def _open(self, client: Client, target: str, early: bytes) -> None:
        try:
            host, port = _host_and_port(target)
            if is_aws(host):
                await self._serve(client, host)
            else:
                await self._tunnel(client, host, port, early)
        except Refused as refused:
            said = f"{refused}\n".encode()
            client.transport.write(
                f"HTTP/1.1 {refused.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                f"Content-Length: {len(said)}\r\nConnection: close\r\n\r\n".encode()
                + said
            )
            client.transport.close()
        except Exception:
            _log.exception("sagedock failed on CONNECT %s", target)
            client.transport.abort()

    async def _serve(self, client: Client, host: str) -> None:
        """End TLS here and serve what is inside."""
        context = await client.loop.run_in_executor(None, self._authority.context_for, host)
        session = client.sibling()
        client.transport.write(_ESTABLISHED)
        try:
            inside = await client.loop.start_tls(
                client.transport,
                session,
                context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS,
            )
        except (OSError, asyncio.TimeoutError) as error:
            # Most often a client that was not told of our authority; it has its own words for it.
            reason = str(error) or "it took too long, or the client went away"
            _log.info("no TLS session for %s: %s", host, reason)
            client.transport.abort()
            return
        if inside is not None:  # None: it was closed during the handshake
            session.connection_made(inside)

    async def _tunnel(self, client: Client, host: str, port: int, early: bytes) -> None:
        if client.client is None or not self._neighbours.has(client.client[0]):
            raise Refused(
                "403 Forbidden",
                f"sagedock tunnels to {host} only for programs on its own machine.",
            )
        through = self._user_proxy(host, port, client)
        try:
            near, far = _End(client.transport), _End()
            await self._reach(client.loop, far, through, (host, port))
        except (OSError, asyncio.TimeoutError) as error:
            by = f" through the proxy {through.hostname}:{through.port}" if through else ""
            raise Refused(
                "502 Bad Gateway", f"sagedock cannot reach {host}:{port}{by}: {error}."
            ) from error
        near.join(far)
        for end in (near, far):
            transport = end.transport
            assert transport is not None
            self._tunnels.add(transport)
            end.on_end = self._tunnels.discard
        client.transport.write(_ESTABLISHED)
        if client.transport.is_closing():
            far.close()
            return
        client.transport.set_protocol(near)
        if early:
            near.data_received(early)
        client.transport.resume_reading()

    def _user_proxy(self, host: str, port: int, client: Client) -> SplitResult | None:
        found = self._proxies.get("https")
        if found is None or is_loopback(host) or _is_bypassed(host, port, self._proxies):
            return None
        parts = urlsplit(found if "://" in found else f"http://{found}")
        is_ourselves = client.server is not None and parts.port == client.server[1]
        if parts.hostname is None or (is_ourselves and is_loopback(parts.hostname)):
            return None  # we were started inside `sagedock run`
        return parts

    async def _reach(
        self,
        loop: asyncio.AbstractEventLoop,
        far: _End,
        through: SplitResult | None,
        target: tuple[str, int],
    ) -> None:
        """Connect `far` to the target; raises OSError or TimeoutError."""
        host, port = target
        if through is not None:
            host, port = str(through.hostname), through.port or 80
        uses_tls = through is not None and through.scheme == "https"
        connecting = loop.create_connection(lambda: far, host, port, ssl=uses_tls or None)
        await asyncio.wait_for(connecting, _CONNECT_SECONDS)
        if through is not None:
            assert far.transport is not None
            far.transport.write(_connect_request(target, through))
            status = await asyncio.wait_for(far.reply(loop), _CONNECT_SECONDS)
            if not 200 <= status < 300:
                far.close()
                raise OSError(f"the proxy answered {status}")


async def no_plain_http(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application: the answer to `GET http://another.host/`."""
    said = (
        b"sagedock's proxy is for HTTPS: it answers for AWS's hosts and tunnels CONNECT to all"
        b" others. Set HTTPS_PROXY only, and leave HTTP_PROXY as it was.\n"
    )
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 501, "headers": headers})
    await send({"type": "http.response.body", "body": said})


class _End(asyncio.Protocol):
    """One end of a tunnel: what it receives, the other end sends."""

    def __init__(self, transport: asyncio.Transport | None = None) -> None:
        self.transport = transport
        self.on_end: Callable[[asyncio.Transport], None] = lambda _: None
        self._other: _End | None = None
        self._head = b""
        self._reply: asyncio.Future[int] | None = None

    def join(self, other: _End) -> None:
        self._other, other._other = other, self
        if self.transport is not None and other._head:
            self.transport.write(other._head)  # came right behind the proxy's reply
            other._head = b""

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reply(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[int]:
        """The status of another proxy's answer to our CONNECT."""
        self._reply = loop.create_future()
        return self._reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.write(data)
        else:
            self._read_head(data)

    def eof_received(self) -> bool:
        other = self._other.transport if self._other else None
        if other is None or not other.can_write_eof():
            return False
        with suppress(OSError):
            other.write_eof()
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionResetError("the proxy hung up"))
        if self._other is not None:
            self._other.close()
        if self.transport is not None:
            self.on_end(self.transport)

    def pause_writing(self) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.resume_reading()

    def _read_head(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if self._reply is None or self._reply.done():
            return
        if not end:
            if len(self._head) > _MOST_HEAD:
                self._reply.set_exception(ConnectionAbortedError("the proxy speaks no HTTP"))
            return
        self._head = rest
        status = head.split(b" ", 2)[1:2]
        self._reply.set_result(int(status[0]) if status and status[0].isdigit() else 0)


def _user_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """In the form that urllib's proxy_bypass_environment reads; small letters win, as there."""
    found: dict[str, str] = {}
    for variable, key in (("all_proxy", "https"), ("https_proxy", "https"), ("no_proxy", "no")):
        value = environment.get(variable) or environment.get(variable.upper())
        if value and not value.startswith("socks"):
            found[key] = value
    return found


def _is_bypassed(host: str, port: int, proxies: dict[str, str]) -> bool:
    """NO_PROXY, read as urllib reads it."""
    bypass: Callable[[str, dict[str, str]], bool] = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it
    return bypass(f"{host}:{port}", proxies)


def _host_and_port(target: str) -> tuple[str, int]:
    parts = urlsplit(f"//{target}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port or parts.path or parts.username is not None:
        raise Refused("400 Bad Request", f"CONNECT wants HOST:PORT, not {target[:200]!r}.")
    return host, port


def _connect_request(target: tuple[str, int], through: SplitResult) -> bytes:
    host, port = target
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    if through.username is not None:
        user = f"{unquote(through.username)}:{unquote(through.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
