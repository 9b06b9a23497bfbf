"""Starts worker processes, notices when they end, and replaces them.

A worker is spawned, or forked from a *template*: a process that has imported the user's code and
run `model_fn`, and nothing else. Forking takes 4 ms instead of the seconds of an import, and the
workers share the memory of library and model. The template itself says whether that is safe.

A forked worker is put under the acceptor (by its own second fork and `adopt_orphans`), so that it
dies with the acceptor, not with the template, and so that its exit status is ours to read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import Any, Callable, Mapping

from sagedock_toolkit import parentage
from sagedock_toolkit.pool import WorkerLink, WorkerPool
from sagedock_toolkit.template_link import TemplateLink

log = logging.getLogger(__name__)

_PROGRAM = """import sys
sys.path.append(sys.argv[3])
from sagedock_toolkit import worker
worker.main(sys.argv[1], int(sys.argv[2]))
"""
_TOOLKIT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

FIRST_ANSWER_SECONDS = 60.0
"""A forked worker that has had its first request this long and used hardly any processor time is
taken for one that did not survive the fork."""

_STUCK_SHARE = 0.01
_LONGEST_PAUSE = 10.0
_SOCKET_BUFFER = 1 << 20
_GONE_WITHOUT_EOF_SECONDS = 0.2
_KILLED_WITHIN_SECONDS = 2.0


class Workers:
    """Keeps `count` workers running."""

    def __init__(
        self,
        pool: WorkerPool,
        count: int,
        time_limit: float,
        environ: Mapping[str, str],
        fork: bool,
    ) -> None:
        self.pool = pool
        self.count = count
        self.on_fatal: Callable[[str], None] = lambda reason: None
        self._time_limit = time_limit
        self._environ = dict(environ, SAGEDOCK_ACCEPTOR=str(os.getpid()))
        self._fork = fork
        self._template: TemplateLink | None = None
        self._links: set[WorkerLink] = set()
        self._spawned: dict[int, WorkerLink] = {}
        self._lost_pids: set[int] = set()  # whose exit status has not been read yet
        self._connecting: set[asyncio.Future[Any]] = set()
        self._failures = 0
        self._is_stopping = False
        pool.on_lost = self._lost
        pool.on_unloadable = self._unloadable

    async def start(self) -> None:
        """Start the template and the workers; returns before they are up."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        if self._fork and parentage.adopt_orphans():
            await self._start_template()
        else:
            for _ in range(self.count):
                self._start_worker()

    # ---- starting

    async def _start_template(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        template = TemplateLink(ours, self._template_says, self._template_lost)
        self._spawn("template", theirs)
        theirs.close()
        self._template = template
        await asyncio.get_running_loop().create_connection(lambda: template, sock=ours)

    def _spawn(self, role: str, theirs: socket.socket) -> int:
        """Start a Python process that holds the other end of a socket pair."""
        theirs.set_inheritable(True)
        arguments = [sys.executable, "-u", "-c", _PROGRAM, role, str(theirs.fileno()), _TOOLKIT]
        return os.posix_spawn(sys.executable, arguments, self._environ)

    def _start_worker(self) -> None:
        if self._is_stopping:
            return
        template = self._template
        if template is None:
            self._link_to(self._spawn_worker, forked=False)
            return
        try:
            self._link_to(template.fork, forked=True)
        except OSError:  # it has just ended, and its end of file is still to be read
            self._template_lost(had_spoken=True)
            self._start_worker()

    def _spawn_worker(self, link: WorkerLink, theirs: socket.socket) -> None:
        self._spawned[self._spawn("worker", theirs)] = link

    def _link_to(self, start: Callable[[WorkerLink, socket.socket], None], forked: bool) -> None:
        """Make a socket pair, and have `start` make the process for its other end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        link = WorkerLink(self.pool, forked)
        try:
            start(link, theirs)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self._links.add(link)
        connecting = asyncio.ensure_future(
            asyncio.get_running_loop().create_connection(lambda: link, sock=ours)
        )
        self._connecting.add(connecting)  # asyncio itself keeps no strong reference
        connecting.add_done_callback(self._connecting.discard)

    # ---- what a template says

    def _template_says(self, word: bytes) -> None:
        """`forkable`, `alone: <reason>` or `unloadable`."""
        if word == b"forkable":
            for _ in range(self.count):
                self._start_worker()
        elif word == b"unloadable":
            self._unloadable()
        else:
            reason = word.decode("utf-8", "replace").partition(": ")[2]
            log.info("Workers are not forked: %s.", reason)
            template, self._template = self._template, None
            if template is not None:
                self._employ(template)
            for _ in range(self.count - 1):
                self._start_worker()

    def _employ(self, template: TemplateLink) -> None:
        """A template that cannot be forked has loaded everything: let it be a worker itself."""
        self._link_to(template.fork, forked=False)

    def _template_lost(self, had_spoken: bool) -> None:
        """Without its template, workers are spawned."""
        if self._template is None or self._is_stopping:
            return
        self._template = None
        log.warning("The template process ended; workers are started without it from now on.")
        if not had_spoken:
            for _ in range(self.count):
                self._start_worker()

    # ---- losing

    def _lost(self, link: WorkerLink) -> None:
        self._links.discard(link)
        if self._is_stopping:
            return
        if link.pid is not None:
            if not link.is_reaped:
                self._lost_pids.add(link.pid)
            self._failures = 0
            log.warning("Worker %d ended; another one takes its place.", link.pid)
            self._start_worker()
            return
        self._failures += 1
        pause = min(_LONGEST_PAUSE, 0.25 * 2 ** min(self._failures - 1, 10))
        log.warning("A worker ended before it could take requests; next try in %.2f s.", pause)
        asyncio.get_running_loop().call_later(pause, self._start_worker)

    def _unloadable(self) -> None:
        self.on_fatal("The user's code could not be loaded (see above); the server ends.")

    def _reap(self) -> None:
        """Take the exit status of every child that has ended, adopted ones too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._reaped(pid, status)

    def _reaped(self, pid: int, status: int) -> None:
        link = self._spawned.pop(pid, None) or self._link_of(pid)
        if link is None and pid not in self._lost_pids:
            return
        self._lost_pids.discard(pid)
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            log.warning("Worker %d was ended by signal %d (%s).", pid, number, _name(number))
        else:
            log.warning("Worker %d ended with exit code %d.", pid, os.WEXITSTATUS(status))
        # A child of the worker may still hold its socket, so that no end of file comes. What the
        # worker wrote before it ended is read first.
        if link is not None and not link.is_lost:
            link.is_reaped = True
            asyncio.get_running_loop().call_later(_GONE_WITHOUT_EOF_SECONDS, link.drop)

    def _link_of(self, pid: int) -> WorkerLink | None:
        return next((link for link in self._links if link.pid == pid), None)

    def sweep(self) -> None:
        """End workers that have one request for too long; to be called every tenth of a second."""
        now = self.pool.time()
        for link in list(self._links):
            job, pid = link.job, link.pid
            if job is None or pid is None:
                continue
            age = now - link.job_since
            if _hangs_since_fork(link, age, min(self._time_limit, FIRST_ANSWER_SECONDS)):
                log.error("Worker %d hangs since its fork; workers are spawned from now on.", pid)
                self._give_up_template()
            elif age > self._time_limit:
                log.error("Worker %d took longer than %g s.", pid, self._time_limit)
            else:
                continue
            link.job = None
            job.timed_out()
            os.kill(pid, signal.SIGKILL)

    def _give_up_template(self) -> None:
        template, self._template = self._template, None
        if template is not None:
            template.close()

    # ---- stopping

    async def stop(self, patience: float) -> None:
        """End all workers by closing their sockets; whatever is left, by force.

        Only workers that have loaded get `patience` seconds to leave by themselves, which lets
        their exit handlers run.
        """
        self._is_stopping = True
        self._give_up_template()
        leaving = {link.pid for link in self._links}
        for link in list(self._links):
            link.drop()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while leaving.intersection(parentage.children()) and loop.time() < deadline:
            await asyncio.sleep(0.005)
        deadline = loop.time() + _KILLED_WITHIN_SECONDS
        while parentage.children() and loop.time() < deadline:
            # Again and again: those of a process that ends now become ours only then.
            for pid in parentage.children():
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.005)


def _hangs_since_fork(link: WorkerLink, age: float, limit: float) -> bool:
    """Whether its first request has a forked worker waiting, not working, for `limit` seconds."""
    if not link.forked or link.has_answered or age <= limit or link.pid is None:
        return False
    return parentage.cpu_seconds(link.pid) < _STUCK_SHARE * age


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
