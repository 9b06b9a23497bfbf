"""Hands requests to idle workers, one at a time each; the rest waits in a bounded queue.

The pool knows sockets and requests. Which process is at the other end, and how a lost one is
replaced, is `processes`'s part.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Callable, Protocol

from sagedock_toolkit.frames import ANSWER, ANSWERED, READY, REQUEST
from sagedock_toolkit.http_requests import Pieces
from sagedock_toolkit.reading import Receiver

_SMALL = 64 * 1024
"""Frames up to this many bytes are joined and written at once."""


class Job(Protocol):
    """A request on its way through the pool."""

    meta: bytes
    body: Pieces
    body_length: int

    def answered(self, parts: list[bytes], head_length: int) -> None:
        """The worker's answer: `parts` joined are the HTTP head (`head_length` bytes) and body."""

    def refused(self) -> None:
        """The queue is full."""

    def worker_died(self) -> None:
        """The worker ended while it had the request."""

    def timed_out(self) -> None:
        """The worker had the request longer than it may, and was ended."""


class WorkerLink(Receiver):
    """The acceptor's end of the socket pair to one worker."""

    def __init__(self, pool: WorkerPool, forked: bool) -> None:
        self.pool = pool
        self.forked = forked
        self.pid: int | None = None
        self.job: Job | None = None
        self.job_since = 0.0
        self.has_answered = False
        self.is_lost = False
        self.is_reaped = False
        self._transport: asyncio.Transport | None = None
        self._outgoing: deque[bytes | bytearray] = deque()
        self._paused = False
        self._parts: list[bytes] = []
        self._missing = 0
        self._head_length = 0

    # ---- towards the worker

    def give(self, job: Job) -> None:
        """Send a request; the worker must be idle."""
        transport = self._transport
        assert transport is not None
        self.job = job
        self.job_since = self.pool.time()
        frame = REQUEST.pack(len(job.meta), job.body_length) + job.meta
        if job.body_length <= _SMALL:
            transport.write(frame + b"".join(job.body))
            return
        self._outgoing.append(frame)
        self._outgoing.extend(job.body)
        self._pump()

    def _pump(self) -> None:
        """Write while the socket takes it: what is written beyond that would be copied."""
        transport = self._transport
        assert transport is not None
        while self._outgoing and not self._paused:
            transport.write(self._outgoing.popleft())

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if not self.is_lost:
            self._pump()

    def drop(self) -> None:
        """Close the socket, which ends an idle worker."""
        if self._transport is not None:
            self._transport.abort()

    # ---- from the worker

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_SMALL)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
        else:
            if self._parts:  # a frame header that came in pieces
                data = b"".join(self._parts) + data
                self._parts = []
            if len(data) < ANSWER.size:
                self._parts = [data]
                return
            kind, self._head_length, body_length = ANSWER.unpack_from(data)
            self._missing = self._head_length + body_length - len(data) + ANSWER.size
            data = data[ANSWER.size :]
            if kind != ANSWERED:
                self._told(kind, data)
                return
            self._parts.append(data)
        if self._missing <= 0:
            self._answered()

    def _answered(self) -> None:
        parts, self._parts = self._parts, []
        job, self.job = self.job, None
        self.has_answered = True
        self._missing = 0
        self.pool.release(self)
        if job is not None:
            job.answered(parts, self._head_length)

    def _told(self, kind: int, body: bytes) -> None:
        """Word about the worker itself: a single short frame, so never in pieces."""
        self._missing = 0
        if kind == READY:
            self.pid = int(body)
            self.pool.add(self)
        else:
            self.pool.unloadable()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        job, self.job = self.job, None
        self._outgoing.clear()
        self.pool.remove(self)
        if job is not None:
            job.worker_died()


class WorkerPool:
    """All workers that are ready, and the requests that wait for one."""

    def __init__(self, queue_limit: int, time: Callable[[], float]) -> None:
        self.time = time
        self.ready: list[WorkerLink] = []
        self.on_ready: Callable[[WorkerLink], None] = lambda link: None
        self.on_lost: Callable[[WorkerLink], None] = lambda link: None
        self.on_unloadable: Callable[[], None] = lambda: None
        self._idle: list[WorkerLink] = []
        self._waiting: deque[Job] = deque()
        self._queue_limit = queue_limit

    @property
    def is_quiet(self) -> bool:
        """No request is with a worker or waits for one."""
        return not self._waiting and len(self._idle) == len(self.ready)

    def submit(self, job: Job) -> None:
        """Give a request to an idle worker, or let it wait, or refuse it."""
        if self._idle:
            # The one that answered last has the warmest caches.
            self._idle.pop().give(job)
        elif len(self._waiting) < self._queue_limit:
            self._waiting.append(job)
        else:
            job.refused()

    def withdraw(self, job: Job) -> bool:
        """The client is gone: do not start its request. False where it does not wait (any more)."""
        if job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    def release(self, link: WorkerLink) -> None:
        if self._waiting:
            link.give(self._waiting.popleft())
        else:
            self._idle.append(link)

    def add(self, link: WorkerLink) -> None:
        self.ready.append(link)
        self.on_ready(link)
        self.release(link)

    def remove(self, link: WorkerLink) -> None:
        if link in self.ready:
            self.ready.remove(link)
        if link in self._idle:
            self._idle.remove(link)
        self.on_lost(link)

    def unloadable(self) -> None:
        self.on_unloadable()
