"""The HTTP side of the model server: one asyncio protocol, no user code, no numpy.

It answers /ping itself, hands each request of /invocations to the pool, and passes the worker's
answer on. What happens on one connection is `connection`'s part.
"""

from __future__ import annotations

from functools import lru_cache

from sagedock_toolkit.answers import ServerRules
from sagedock_toolkit.connection import Connection, Parsed
from sagedock_toolkit.http_requests import parse_head
from sagedock_toolkit.pool import WorkerPool

_REMEMBERED_BYTES = 2048


class Acceptor:
    """What all connections share: the rules, the pool, the connections themselves."""

    def __init__(self, rules: ServerRules, pool: WorkerPool, workers: int) -> None:
        self.rules = rules
        self.pool = pool
        self.workers = workers
        self.connections: set[Connection] = set()
        self.is_stopping = False
        self._remembered = lru_cache(maxsize=512)(self._parse)
        self._held: list[Connection] = []
        pool.on_ready = self._worker_is_ready

    def connect(self) -> Connection:
        """The protocol factory."""
        return Connection(self)

    def time(self) -> float:
        return self.pool.time()

    def parse(self, raw: bytes) -> Parsed:
        """Read a head, from memory where a client sends the same bytes again.

        Raises BadRequest.
        """
        return self._remembered(raw) if len(raw) <= _REMEMBERED_BYTES else self._parse(raw)

    def _parse(self, raw: bytes) -> Parsed:
        head = parse_head(raw)
        return head, self.rules.meta(head).encode(), self.rules.refusal(head)

    def ping(self, connection: Connection) -> None:
        """Answer /ping, in the older generations not before the first worker has loaded.

        There the request waited in gunicorn's backlog until a worker had booted.
        """
        ready = len(self.pool.ready)
        if not ready and not self.rules.is_modern:
            self._held.append(connection)
            return
        connection.answer(self.rules.ping(ready, self.workers))

    @property
    def is_answering(self) -> bool:
        """A client is sending a request, or waits for an answer or for the rest of one."""
        return not all(connection.is_idle for connection in self.connections)

    def stop(self) -> None:
        """No further requests: idle connections are closed, the others after their answer."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.close_if_idle()

    def sweep(self) -> None:
        """Give up on clients that are too slow; to be called every tenth of a second."""
        now = self.pool.time()
        for connection in list(self.connections):
            connection.check_patience(now)

    def _worker_is_ready(self, _link: object) -> None:
        held, self._held = self._held, []
        for connection in held:
            self.ping(connection)
