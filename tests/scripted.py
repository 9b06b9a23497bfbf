"""A backend that a test plays by hand: no processes, no environments, no waiting.

    backend = ScriptedBackend()
    play = backend.expect("train").prints("epoch 1").writes("model/weights", b"1").waits()
    ...create a training job...
    run = play.wait_until_started()      # its RunSpec is run.spec
    play.goes_on()                       # past `waits`; the play ends, with exit code 0

`expect` is for one start of that command, `always` for every further one. A play without `exits`
ends with 0; told to stop, it ends with 143, as a process that does not handle SIGTERM.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from sagedock.backends.base import Guard, LogLine, Run, RunSpec, Tell
from sagedock.backends.log_files import follow
from sagedock.backends.ports import LOOPBACK, Ports
from sagedock.domain.images import resolve
from sagedock.errors import RunFailedToStart

LOG_FILE = "output.log"
TERMINATED, KILLED = 143, 137


@dataclass(frozen=True)
class Asked:
    """A request that reached a played model server."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Answer]
Step = Callable[["ScriptedRun"], None]


def echo(asked: Asked) -> Answer:
    return Answer(asked.body, headers={"Content-Type": asked.headers.get("Content-Type", "")})


class Play:
    """What a run will do, step by step. `runs` are those that were started with it."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.runs: list[ScriptedRun] = []
        self.requests: list[Asked] = []
        self.steps: list[Step] = []
        self.refusal: str | None = None
        self.unreachable: str | None = None
        self.heeds_sigterm = True
        self.remark = ""
        self._started = threading.Condition()
        self._go = threading.Event()

    # What it does, in order.

    def prints(self, *lines: str, end: str = "\n") -> Play:
        return self._then(lambda run: run.write("".join(line + end for line in lines).encode()))

    def prints_bytes(self, content: bytes) -> Play:
        return self._then(lambda run: run.write(content))

    def writes(self, path: str, content: bytes) -> Play:
        """A file below /opt/ml."""
        return self._then(lambda run: run.put(path, content))

    def waits(self) -> Play:
        """Until `goes_on` is called, or the run is told to stop."""
        return self._then(lambda run: run.pause(self._go))

    def serves(self, handler: Handler = echo, ping: int = 200) -> Play:
        """Answer HTTP on port 8080 until told to stop; `ping` is the status of GET /ping."""
        return self._then(lambda run: run.serve(self, handler, ping))

    def exits(self, code: int) -> Play:
        return self._then(lambda run: run.end(code))

    def vanishes(self) -> Play:
        """The run ends and nobody will ever know its exit code."""
        return self._then(lambda run: run.end(None))

    # How it behaves as a whole.

    def is_told_of(self, remark: str) -> Play:
        """What the backend says of its end."""
        self.remark = remark
        return self

    def fails_to_start(self, reason: str) -> Play:
        self.refusal = reason
        return self

    def is_out_of_reach(self, reason: str) -> Play:
        """It is started, and nothing leads to its ports."""
        self.unreachable = reason
        return self

    def ignores_sigterm(self) -> Play:
        """Only SIGKILL ends it: exit code 137 after the grace period."""
        self.heeds_sigterm = False
        return self

    # What a test says while it is played.

    def goes_on(self) -> None:
        self._go.set()

    def wait_until_started(self, runs: int = 1, timeout: float = 180.0) -> ScriptedRun:
        """The latest run, once `runs` have been started."""
        with self._started:
            if not self._started.wait_for(lambda: len(self.runs) >= runs, timeout):
                raise AssertionError(f"{self.command!r} was started {len(self.runs)} times")
            return self.runs[-1]

    def begins(self, run: ScriptedRun) -> None:
        with self._started:
            self.runs.append(run)
            self._started.notify_all()

    def _then(self, step: Step) -> Play:
        self.steps.append(step)
        return self


class ScriptedBackend:
    """Fulfils `base.Backend`. `specs` are all that was started, `prepared` the images."""

    name = "scripted"

    def __init__(self, gpus: int = 0) -> None:
        self.specs: list[RunSpec] = []
        self.prepared: list[str] = []
        self.begun: list[str] = []
        self.guards_by: Guard = "nothing"
        self.abandoned: list[str] = []
        self.says_while_preparing: list[str] = []
        self._gpus = gpus
        self._expected: list[Play] = []
        self._always: dict[str, Play] = {}
        self._runs: dict[str, ScriptedRun] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._ports = Ports()

    def expect(self, command: str) -> Play:
        """A play for the next start of `command` that has none yet."""
        play = Play(command)
        with self._lock:
            self._expected.append(play)
        return play

    def always(self, command: str) -> Play:
        """A play for every start of `command` that nothing was expected for."""
        play = self._always[command] = Play(command)
        return play

    def check(self, image: str) -> None:
        resolve(image)

    def prepare(self, image: str, tell: Tell, instance_type: str = "") -> None:
        self.prepared.append(image)
        for line in self.says_while_preparing:
            tell(line)

    def guard(self, image: str, instance_type: str = "") -> Guard:
        return self.guards_by

    def ahead(self, spec: RunSpec) -> None:
        self.begun.append(spec.name)

    def abandon(self, name: str) -> None:
        self.abandoned.append(name)

    def start(self, spec: RunSpec) -> Run:
        resolve(spec.image)
        command = spec.command[0]
        with self._lock:
            number = next(self._numbers)
            play = next((play for play in self._expected if play.command == command), None)
            if play is not None:
                self._expected.remove(play)
            else:
                play = self._always.get(command)
        if play is None:
            raise RunFailedToStart(f"The test expected no {command!r}: backend.expect({command!r})")
        if play.refusal is not None:
            raise RunFailedToStart(play.refusal)
        run = ScriptedRun(f"scripted;{number}", spec, play, self._ports)
        with self._lock:
            self.specs.append(spec)
            self._runs[run.id] = run
        run.begin()
        return run

    def find(self, run_id: str) -> Run | None:
        return self._runs.get(run_id)

    def clean(self, keep: frozenset[str]) -> None:
        for run_id, run in list(self._runs.items()):
            if run_id not in keep:
                run.close()
                del self._runs[run_id]

    def describe(self) -> str:
        return "a test plays what runs"

    def host_address(self) -> str:
        return LOOPBACK

    def neighbours(self) -> tuple[str, ...]:
        return ()

    def gpu_count(self) -> int:
        return self._gpus


class _Over(Exception):
    """Leaves a play early."""


class ScriptedRun:
    """Fulfils `base.Run`; its steps are taken in a thread of its own."""

    def __init__(self, run_id: str, spec: RunSpec, play: Play, ports: Ports) -> None:
        self.id = run_id
        self.spec = spec
        self.stops: list[float] = []
        self._play = play
        self._code: int | None = None
        self._ended = threading.Event()
        self._told = threading.Condition()
        self._terminated = self._killed = False
        self._ports = {port: ports.take() for port in spec.ports}
        self._log = spec.workdir / LOG_FILE
        self._log.write_bytes(b"")

    @property
    def lost(self) -> bool:
        return self._ended.is_set() and self._code is None

    @property
    def remark(self) -> str:
        return self._play.remark

    def lines(self, after: str | None = None) -> Iterator[LogLine]:
        return follow(self._log, after, self._ended)

    def wait(self, timeout: float | None = None) -> int | None:
        return self._code if self._ended.wait(timeout) else None

    def stop(self, grace_seconds: float) -> None:
        self.stops.append(grace_seconds)
        self._tell(killed=False)
        if not self._ended.wait(grace_seconds):
            self._tell(killed=True)
            self._ended.wait()

    def address(self, port: int) -> tuple[str, int]:
        if self._play.unreachable is not None:
            raise RunFailedToStart(self._play.unreachable)
        return LOOPBACK, self._ports[port]

    def close(self) -> None:
        self._tell(killed=True)
        self._ended.wait()

    # The play's side.

    def begin(self) -> None:
        threading.Thread(target=self._perform, name=self.id, daemon=True).start()
        self._play.begins(self)

    def write(self, content: bytes) -> None:
        with self._log.open("ab") as file:
            file.write(content)

    def put(self, path: str, content: bytes) -> None:
        target = self.outside(f"/opt/ml/{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def outside(self, inside: str) -> Path:
        """Our side of a path that the run sees."""
        mounts = [mount for mount in self.spec.mounts if inside.startswith(mount.inside)]
        nearest = max(mounts, key=lambda mount: len(mount.inside))
        return nearest.outside / inside[len(nearest.inside) :].lstrip("/")

    def pause(self, until: threading.Event) -> None:
        while not until.is_set():
            with self._told:
                self._leave_if_told()
                self._told.wait(0.005)

    def serve(self, play: Play, handler: Handler, ping: int) -> None:
        server = _server(self._ports[8080], play, handler, ping)
        try:
            self.pause(threading.Event())
        finally:
            server.shutdown()
            server.server_close()

    def end(self, code: int | None) -> None:
        self._code = code
        raise _Over

    def _perform(self) -> None:
        self._code = 1  # what remains where a step itself breaks
        try:
            for step in self._play.steps:
                self._leave_if_told()
                step(self)
            self._code = 0
        except _Over:
            pass
        finally:
            self._ended.set()

    def _leave_if_told(self) -> None:
        if self._killed:
            self.end(KILLED)
        if self._terminated and self._play.heeds_sigterm:
            self.end(TERMINATED)

    def _tell(self, killed: bool) -> None:
        with self._told:
            self._terminated = True
            self._killed = self._killed or killed
            self._told.notify_all()


def _server(port: int, play: Play, handler: Handler, ping: int) -> ThreadingHTTPServer:
    class OneRequest(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(Answer(status=ping) if self.path == "/ping" else handler(self._asked()))

        def do_POST(self) -> None:
            asked = self._asked()
            play.requests.append(asked)
            self._answer(handler(asked))

        def _asked(self) -> Asked:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return Asked(self.command, self.path, dict(self.headers), body)

        def _answer(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet: what matters to a test is in `Play.requests`."""

    server = ThreadingHTTPServer((LOOPBACK, port), OneRequest)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server
