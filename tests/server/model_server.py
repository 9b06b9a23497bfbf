"""A toy model server: plain sockets and threads, so that a test can break every rule of HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from sagedock.domain.routes import ModelServer


@dataclass(frozen=True)
class Asked:
    """One request as the model server got it."""

    head: str
    headers: dict[str, str]
    body: bytes
    connection: int  # the how-many-eth connection it came on, from 1


Behaviour = Callable[[socket.socket, Asked], None]


def answer(
    body: bytes = b"{}", status: int = 200, headers: dict[str, str] | None = None
) -> Behaviour:
    """Answers everything so."""
    lines = {"Content-Type": "application/json", **(headers or {}), "Content-Length": len(body)}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw = f"HTTP/1.1 {status} Word\r\n{head}\r\n".encode() + body
    return lambda connection, asked: connection.sendall(raw)


def echo(connection: socket.socket, asked: Asked) -> None:
    """Answers with the request's body and type."""
    kind = {"Content-Type": asked.headers.get("content-type", "none/none")}
    answer(asked.body, headers=kind)(connection, asked)


class ToyModelServer:
    """Listens on a free port; `behave` may be changed at any time."""

    def __init__(self, behave: Behaviour = echo, stream: str = "AllTraffic/i-1") -> None:
        self.behave = behave
        self.asked: list[Asked] = []
        self.connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.here = ModelServer("127.0.0.1", self._listener.getsockname()[1], stream)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> ToyModelServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        # A thread blocked in accept keeps the socket listening after a mere close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            number = len(self.connections)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        try:
            with connection, connection.makefile("rb") as file:
                while line := file.readline():
                    headers = {}
                    while text := file.readline().decode().strip():
                        name, _, value = text.partition(":")
                        headers[name.lower()] = value.strip()
                    body = file.read(int(headers.get("content-length", 0)))
                    asked = Asked(line.decode().strip(), headers, body, number)
                    self.asked.append(asked)
                    self.behave(connection, asked)
        except OSError:
            return
