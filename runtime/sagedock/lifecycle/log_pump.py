"""A run's lines to stored events: live, in order, none lost and none doubled.

One thread reads the run, which blocks while it is silent; another stores what has come, in one
transaction with the reading position, so that a line is stored exactly once whenever we are
killed. Sinks see each line after it is stored.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from sagedock.backends.base import LogLine, Run
from sagedock.store.database import DiskFull
from sagedock.store.log_events import LogNotFound

log = logging.getLogger("sagedock.lifecycle")

BATCH = 1_000
"""Lines stored in one transaction at the most."""

Sink = Callable[[LogLine], None]


class EventStore(Protocol):
    def create_stream(self, group: str, stream: str, now_ms: int) -> object: ...

    def append(
        self,
        group: str,
        stream: str,
        events: Iterable[tuple[int, str]],
        position: str | None,
        now_ms: int,
    ) -> object: ...

    def position(self, group: str, stream: str) -> str | None: ...


class LogPump:
    """Stores the lines of `run` in `group`/`stream` until the run ends; `tail` keeps the last."""

    def __init__(
        self, run: Run, group: str, stream: str, events: EventStore, sinks: Iterable[Sink] = ()
    ) -> None:
        self._run, self._group, self._stream, self._events = run, group, stream, events
        self._sinks = tuple(sinks)
        self._lines: queue.SimpleQueue[LogLine | None] = queue.SimpleQueue()
        self._lost = 0
        self.tail: deque[str] = deque(maxlen=40)
        self._threads = [
            threading.Thread(target=work, name=f"{name} {stream}", daemon=True)
            for work, name in ((self._read, "read"), (self._store, "store"))
        ]

    def start(self) -> LogPump:
        self._events.create_stream(self._group, self._stream, _now_ms())
        for thread in self._threads:
            thread.start()
        return self

    def join(self, timeout: float | None = None) -> None:
        """Wait until every line is stored."""
        for thread in self._threads:
            thread.join(timeout)

    def leave(self) -> None:
        """Stop storing, though the run goes on: the emulator ends, and the next one reads on from
        the position that is stored."""
        self._lines.put(None)
        self._threads[1].join()

    def _read(self) -> None:
        try:
            for line in self._run.lines(self._events.position(self._group, self._stream)):
                self._lines.put(line)
        finally:
            self._lines.put(None)

    def _store(self) -> None:
        ended = False
        while not ended:
            batch: list[LogLine] = []
            line = self._lines.get()
            while line is not None:
                batch.append(line)
                if len(batch) >= BATCH or self._lines.empty():
                    break
                line = self._lines.get()
            ended = line is None
            if batch:
                self._append(batch)
        if self._lost:
            log.warning("%d lines of %s were lost", self._lost, self._stream)

    def _append(self, batch: list[LogLine]) -> None:
        self.tail.extend(line.text for line in batch)
        try:
            self._put(batch)
            for line in batch:
                for sink in self._sinks:
                    sink(line)
        except DiskFull as error:
            # The run goes on, and so do its later lines.
            if not self._lost:
                log.warning("Lines of %s are lost: %s", self._stream, error)
            self._lost += len(batch)
        except Exception:
            log.exception("%d lines of %s could not be stored", len(batch), self._stream)

    def _put(self, batch: list[LogLine]) -> None:
        events = [(line.timestamp_ms, line.text) for line in batch]
        position = batch[-1].position
        try:
            self._events.append(self._group, self._stream, events, position, _now_ms())
        except LogNotFound:
            # Deleted by a user while the run goes on: the service's agent makes it anew, too.
            self._events.create_stream(self._group, self._stream, _now_ms())
            self._events.append(self._group, self._stream, events, position, _now_ms())


def _now_ms() -> int:
    return int(time.time() * 1000)
