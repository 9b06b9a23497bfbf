"""Running the server: in a background thread (tests, the library) or in the foreground (serve)."""

from __future__ import annotations

import errno
import functools
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import uvicorn

from sagedock.errors import StartupError
from sagedock.server.app import AsgiApp
from sagedock.server.origins import Door
from sagedock.server.protocol import Lanes, ServerProtocol

_log = logging.getLogger(__name__)
_KEEP_ALIVE_SECONDS: Final = 75  # longer than the 30 s between two polls of an SDK
_GRACE_SECONDS: Final = 5
_BACKLOG: Final = 2048


class Server:
    """One listening port, at one address and at `doors`. `stop` and `start` may be called once.

    `lanes` are the ways past ASGI (invocations, CONNECT); `before_stop` is called on the event
    loop when the server begins to stop: what waits there must come to its end.
    """

    def __init__(
        self,
        app: AsgiApp,
        host: str,
        port: int,
        lanes: Lanes,
        before_stop: Sequence[Callable[[], None]] = (),
        doors: Sequence[Door] = (),
    ) -> None:
        self._host = host
        self._lanes = lanes
        self._sockets = [_listen(host, port)]
        self.port: int = self._sockets[0].getsockname()[1]
        try:
            self._sockets += [_listen(door.host, self.port) for door in doors]
        except StartupError:
            self._sockets[0].close()
            raise
        protocol = functools.partial(ServerProtocol, lanes=lanes)
        config = uvicorn.Config(
            cast("Any", app),
            http=cast("Any", protocol),  # a class to uvicorn, which only ever calls it
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        self._uvicorn = _Uvicorn(config, (*before_stop, lanes.close))
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve in a background thread; returns when requests are answered."""
        self._thread = threading.Thread(target=self._serve_quietly, name="server", daemon=True)
        self._thread.start()
        self._uvicorn.is_up.wait()
        if self._failure is not None:
            raise StartupError(f"The server could not start: {self._failure}.") from self._failure

    def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve in this thread until SIGINT, SIGTERM or `stop`; `on_ready` is called on the event
        loop once requests are answered."""
        self._uvicorn.on_ready = on_ready
        self._uvicorn.run(sockets=self._sockets)

    def stop(self) -> None:
        """Answer what is in flight, within five seconds, and end. From any thread."""
        self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join()
        for listener in self._sockets:
            listener.close()

    def _serve_quietly(self) -> None:
        try:
            self._uvicorn.run(sockets=self._sockets)
        except BaseException as failure:
            self._failure = failure
            if self._uvicorn.is_up.is_set():
                _log.exception("the server ended")
        finally:
            self._uvicorn.is_up.set()


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, before_stop: Sequence[Callable[[], None]]) -> None:
        super().__init__(config)
        self.is_up = threading.Event()
        self.on_ready: Callable[[], None] = lambda: None
        self._before_stop = before_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_up.set()
        self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for prepare in self._before_stop:
            prepare()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn raises the caught signal again after its shutdown, which would end the process
        # before jobs and model servers are stopped: `serve` returns instead.
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; raises StartupError with a way out."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise StartupError(
            f"SAGEDOCK_HOST (--host) is {host!r}, which is no address of this machine: {error}."
        ) from error
    try:
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise StartupError(_why_not(error, host, port)) from error
    # asyncio turns Nagle's algorithm off only for sockets that know their protocol's number, which
    # those from create_server do not. Left on, an answer of two writes waits 40 ms for an
    # acknowledgement. Accepted connections inherit this.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken{_by_whom(port)}: stop it, or use --port to take another."
    if error.errno == errno.EACCES:
        return f"Port {port} needs privileges (below 1024): use --port to take another."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"SAGEDOCK_HOST (--host) is {host!r}, which is no address of this machine."
    return f"sagedock cannot listen on {host} port {port}: {error.strerror}."


def _by_whom(port: int, proc: Path = Path("/proc")) -> str:
    """` by PID (command)` of the process that listens on `port`, as far as Linux lets us see."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not sockets:
        return ""
    for process in proc.glob("[0-9]*"):
        if sockets.intersection(_open_files(process)):
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                return f" by process {process.name} ({command[:120]})"
    return " by a process of another user"


def _open_files(process: Path) -> Iterator[str]:
    """What the process's descriptors lead to; nothing when it ended or is another user's."""
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):  # closed in the meantime
                yield str(entry.readlink())


def _listening_inodes(port: int, proc: Path) -> set[str]:
    found: set[str] = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:  # no Linux, or no IPv6
            continue
        rows = [line.split() for line in lines]
        found |= {
            row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port
        }
    return found
