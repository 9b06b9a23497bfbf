"""`python -m sagedock_toolkit serve`: settings, start, stop on SIGTERM.

The process is the acceptor (no user code); `processes` starts the workers that run it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import Mapping, NamedTuple

from sagedock_toolkit import environment, serving_code
from sagedock_toolkit.acceptor import Acceptor
from sagedock_toolkit.answers import ServerRules
from sagedock_toolkit.errors import CommandFailed, ToolkitError
from sagedock_toolkit.generations import Generation
from sagedock_toolkit.loading import set_up_logging
from sagedock_toolkit.paths import Paths
from sagedock_toolkit.pool import WorkerPool
from sagedock_toolkit.processes import Workers

log = logging.getLogger(__name__)

GRACE_SECONDS = 25.0
"""How long requests under way may take after SIGTERM; SageMaker sends SIGKILL after 30 s."""

_SWEEP_SECONDS = 0.1
_BACKLOG = 2048


class Settings(NamedTuple):
    """What the environment says about serving."""

    paths: Paths
    generation: Generation
    host: str
    port: int
    workers: int
    time_limit: float
    fork: bool

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Raises ToolkitError for a variable that is no number."""
        paths = Paths.read(environ)
        generation = Generation.read(paths, environ)
        gpus = _number(environ, "SAGEDOCK_GPU_COUNT", 0)
        workers = gpus if gpus and generation is Generation.MODERN else available_cpus()
        # multi-model-server 1.1.0 to 1.1.8 counts this variable in minutes (WorkerThread.java).
        unit = 60 if generation is Generation.MODERN else 1
        return cls(
            paths,
            generation,
            environ.get("SAGEDOCK_BIND_HOST") or "0.0.0.0",
            _number(environ, "SAGEMAKER_BIND_TO_PORT", 8080),
            max(1, _number(environ, "SAGEMAKER_MODEL_SERVER_WORKERS", workers)),
            float(unit * max(1, _number(environ, "SAGEMAKER_MODEL_SERVER_TIMEOUT", 60))),
            environ.get("SAGEDOCK_FORK", "1") != "0" and not gpus,
        )

    def worker_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The workers' environment: what AWS's servers set where the user did not.

        Of OMP_NUM_THREADS AWS says 1; we give each worker its share of the processors.
        """
        defaults = {
            "MXNET_CPU_WORKER_NTHREADS": "1",
            "MXNET_CPU_PRIORITY_NTHREADS": "1",
            "MXNET_KVSTORE_REDUCTION_NTHREADS": "1",
            "OMP_NUM_THREADS": str(max(1, available_cpus() // self.workers)),
            "PYTHONUNBUFFERED": "1",
        }
        threads = environ.get("OMP_NUM_THREADS", "")
        if threads.isdigit() and int(threads) * self.workers > max(self.workers, available_cpus()):
            log.warning(
                "OMP_NUM_THREADS is %s with %d worker(s) on %d processor(s): more threads than "
                "processors can make each request several times slower.",
                threads, self.workers, available_cpus(),
            )  # fmt: skip
        if self.generation is Generation.LEGACY:
            defaults["MXNET_ENGINE_TYPE"] = "NaiveEngine"
        # Early script mode set the engine to a name that MXNet does not know; that is left out.
        return {**defaults, **environ}


def available_cpus() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return environment.num_cpus()


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise ToolkitError(f"{name} is {text!r}; it has to be a whole number.") from None


class Server:
    """Acceptor and workers of one `serve`."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.settings = settings
        rules = ServerRules.of(settings.generation, settings.workers)
        self._loop = asyncio.get_running_loop()
        self._pool = WorkerPool(rules.queue_limit, self._loop.time)
        self._acceptor = Acceptor(rules, self._pool, settings.workers)
        self._workers = Workers(
            self._pool, settings.workers, settings.time_limit, settings.worker_environ(environ),
            settings.fork,
        )  # fmt: skip
        self._workers.on_fatal = self._end
        self._ended = asyncio.Event()
        self._failed = False

    async def run(self, listener: socket.socket) -> None:
        """Serve until SIGTERM, or until user code that cannot be loaded ends the server."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, "")
        await self._workers.start()
        server = await self._loop.create_server(
            self._acceptor.connect, sock=listener, backlog=_BACKLOG
        )
        sweeping = asyncio.ensure_future(self._sweep())
        await self._ended.wait()
        server.close()
        self._acceptor.stop()
        # Without workers nobody will answer what is waiting: the service's /ping, above all.
        deadline = self._loop.time() + (0 if self._failed else GRACE_SECONDS)
        while self._acceptor.is_answering and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        sweeping.cancel()
        await self._workers.stop(2.0)

    def _end(self, reason: str) -> None:
        if reason:
            log.error(reason)
            self._failed = True
        self._ended.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._workers.sweep()
            self._acceptor.sweep()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ToolkitError naming the address where that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ToolkitError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    listener.setblocking(False)
    return listener


async def _serve(settings: Settings, listener: socket.socket, environ: Mapping[str, str]) -> None:
    await Server(settings, environ).run(listener)


def main() -> None:
    """Serve until SIGTERM.

    Returns (exit code 0) also when a legacy or early script cannot be loaded: AWS's container ended
    so too, and the endpoint fails because /ping never answers. Raises SystemExit(1) when the server
    cannot start.
    """
    environ = dict(os.environ)
    set_up_logging(environ)
    try:
        settings = Settings.read(environ)
        listener = listen(settings.host, settings.port)
        serving_code.prepare(settings.generation, settings.paths, environ)
    except ToolkitError as error:
        log.error(error.failure_text() if isinstance(error, CommandFailed) else error)
        raise SystemExit(1) from None
    log.info(
        "Serving %s on %s:%d: %d worker(s), code %s, Python %s.",
        settings.generation.value, settings.host, settings.port, settings.workers,
        serving_code.place(settings.generation, settings.paths, environ), sys.version.split()[0],
    )  # fmt: skip
    asyncio.run(_serve(settings, listener, environ))
