"""The way to a model server that has no network: EnableNetworkIsolation, and it still answers.

An isolated container has nothing but its own loopback. A relay listens on ours and carries each
connection there: as root of the engine's machine by a socket that is made inside the container's
network (setns, 126 µs a request were measured), else by a small program that the engine runs inside
(exec), which every engine can, wherever it is. Nothing leads the other way.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from docker.errors import APIError, DockerException

from sagedock.backends.docker.engine import GONE, Engine
from sagedock.backends.docker.surroundings import LOOPBACK
from sagedock.errors import RunFailedToStart

log = logging.getLogger("sagedock.docker")

_CHUNK_BYTES = 1 << 16
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_CONNECT_SECONDS = 5.0
_NO_SUCH_CONTAINER, _NOT_RUNNING = 404, 409

_CARRIER = """
import os, select, socket, sys
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while True:
    for ready in select.select([0, there], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else there.recv(65536)
        if not data:
            sys.exit()
        if ready == 0:
            there.sendall(data)
        while ready != 0 and data:
            data = data[os.write(1, data):]
"""
_PYTHONS = ("python3", "python", "/opt/venv/bin/python", "/usr/bin/python3")


class Far(Protocol):
    """The other end of one carried connection."""

    def send(self, data: bytes) -> None: ...
    def receive(self) -> bytes: ...
    def close(self) -> None: ...


class Relay:
    """Listens on a port of our loopback for `port` of the running container; until `close`. Raises
    RunFailedToStart where nothing leads into it, NotFound or APIError where it runs no more."""

    def __init__(self, engine: Engine, container: str, port: int) -> None:
        self._connect = _way(engine, container, port)
        self._listener = socket.create_server((LOOPBACK, 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name=f"relay {container[:12]}", daemon=True).start()

    def close(self) -> None:
        # Closing alone would leave the thread in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        """Both ways, until either end is closed. A server that does not listen yet is, for who
        asks, a connection that ends."""
        try:
            far = self._connect()
        except (OSError, DockerException, *GONE) as error:
            log.debug("the relay does not reach its server: %s", error)
            near.close()
            return
        back = threading.Thread(target=_pump, args=(far.receive, near.sendall, near), daemon=True)
        back.start()
        _pump(lambda: near.recv(_CHUNK_BYTES), far.send, near)
        far.close()
        back.join()
        near.close()


def _pump(read: Callable[[], bytes], write: Callable[[bytes], None], near: socket.socket) -> None:
    try:
        while data := read():
            write(data)
    except (OSError, ValueError, DockerException, *GONE):
        pass  # the other end went first
    finally:
        with contextlib.suppress(OSError):
            near.shutdown(socket.SHUT_RDWR)


def _way(engine: Engine, container: str, port: int) -> Callable[[], Far]:
    pid = _process_of(engine, container)
    if pid is not None:
        return lambda: _Inside(pid, port)
    python = _python_of(engine, container)
    return lambda: _Carried(engine, container, python, port)


# --- as root, on the engine's machine -------------------------------------------------------------


class _Inside:
    """A socket made inside the container's network; once it is there it works from anywhere."""

    def __init__(self, pid: int, port: int) -> None:
        made: list[socket.socket | BaseException] = []
        # The thread stays in that network, and so is thrown away.
        thread = threading.Thread(target=self._make, args=(pid, port, made))
        thread.start()
        thread.join()
        if isinstance(made[0], BaseException):
            raise made[0]
        self._socket = made[0]

    @staticmethod
    def _make(pid: int, port: int, made: list[socket.socket | BaseException]) -> None:
        try:
            _enter_network(pid)
            there = socket.create_connection((LOOPBACK, port), _CONNECT_SECONDS)
            there.settimeout(None)
            there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.append(there)
        except BaseException as error:
            made.append(error)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        return self._socket.recv(_CHUNK_BYTES)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _enter_network(pid: int) -> None:
    """setns for this thread alone (os.setns is there from Python 3.12 on)."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(place, _NEW_NETWORK) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(place)


def _process_of(engine: Engine, container: str) -> int | None:
    """The container's first process, where it is one of this machine's that we may enter."""
    if os.geteuid() != 0 or engine.is_remote:
        return None
    pid = int(engine.client.api.inspect_container(container)["State"]["Pid"])
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as lines:
            is_here = pid > 0 and container in lines.read()
        return pid if is_here and _may_enter(pid) else None
    except OSError:
        return None


def _may_enter(pid: int) -> bool:
    tried: list[bool] = []

    def enter() -> None:
        try:
            _enter_network(pid)
            tried.append(True)
        except OSError:
            tried.append(False)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return tried == [True]


# --- by the engine --------------------------------------------------------------------------------


def _python_of(engine: Engine, container: str) -> str:
    """The Python of a running container. Raises RunFailedToStart where it has none."""
    for python in _PYTHONS:
        if _ends_well(engine, container, [python, "-c", ""]):
            return python
    raise RunFailedToStart(
        "Its network is isolated (EnableNetworkIsolation), and from where the emulator runs such a "
        "model server is reached by a small program inside its container, for which the image has "
        "no Python. Put python3 into the image, or run sagedock as root on the engine's own machine"
    )


def _ends_well(engine: Engine, container: str, command: list[str]) -> bool:
    """Whether the command is there and exits with 0. Raises NotFound or APIError where the
    container runs no more."""
    api = engine.client.api
    made = api.exec_create(container, command)["Id"]
    try:
        api.exec_start(made)
    except APIError as error:
        # Newer engines refuse to start what is not there, 20.10 says so in its output.
        if error.status_code in (_NO_SUCH_CONTAINER, _NOT_RUNNING):
            raise
        return False
    # The output ends a moment before the engine knows the exit code.
    end = time.monotonic() + _CONNECT_SECONDS
    while (told := api.exec_inspect(made))["Running"] and time.monotonic() < end:
        time.sleep(0.01)
    return bool(told["ExitCode"] == 0)


class _Carried:
    """A program inside the container, whose standard streams come to us through the engine."""

    def __init__(self, engine: Engine, container: str, python: str, port: int) -> None:
        api = engine.client.api
        command = [python, "-c", _CARRIER, str(port)]
        made = api.exec_create(container, command, stdin=True, stderr=False)
        stream: Any = api.exec_start(made["Id"], socket=True)
        self._socket: socket.socket = getattr(stream, "_sock", stream)
        self._socket.settimeout(None)
        self._stream = stream
        self._held = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        header = self._exactly(8)
        return self._exactly(struct.unpack(">xxxxL", header)[0]) if header else b""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._stream.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._held) < size:
            data = self._socket.recv(_CHUNK_BYTES)
            if not data:
                return b""
            self._held += data
        taken, self._held = self._held[:size], self._held[size:]
        return taken
