"""One model server: staged, started, asked `/ping` until it answers, watched, stopped.

Rules of the service: port 8080, `/ping` must answer 200 within 2 s, and for the first time before
the startup deadline of 8 minutes (DG your-algorithms-inference-code).
"""

from __future__ import annotations

import http.client
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sagedock.backends.base import Backend, Mount, Run, RunSpec
from sagedock.domain.pings import PING_TIMEOUT_SECONDS
from sagedock.domain.routes import ModelServer
from sagedock.errors import RunFailedToStart, SagedockError
from sagedock.lifecycle.log_pump import EventStore, LogPump

PORT = 8080
MODEL = "/opt/ml/model"

_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt)(: .*)?$")
"""The line that ends a traceback."""


class ModelServerFailed(SagedockError):
    """It ended, or never answered /ping; the text says which, with its last lines."""


class ModelServerEnded(ModelServerFailed):
    """It ended before it answered."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What to start: one instance of one variant."""

    endpoint: str
    arn: str
    variant: str
    image: str
    env: Mapping[str, str]
    model_folder: Path
    workdir: Path
    log_group: str
    isolated: bool = False
    instance_type: str = ""
    is_first: bool = False

    def spec(self) -> RunSpec:
        return RunSpec(
            name=f"{self.endpoint}-{self.variant}-{self.workdir.name}",
            image=self.image,
            command=("serve",),
            workdir=self.workdir,
            mounts=(Mount(self.workdir / "ml", "/opt/ml"), Mount(self.model_folder, MODEL, True)),
            env=self.env,
            ports=(PORT,),
            instance_type=self.instance_type,
            isolated=self.isolated,
            is_first=self.is_first,
            labels={"endpoint": self.endpoint, "variant": self.variant},
        )


class ServedModel:
    """A started model server and its log."""

    def __init__(
        self,
        run: Run,
        variant: str,
        stream: str,
        log_group: str,
        events: EventStore,
    ) -> None:
        """Raises RunFailedToStart, the run ended, where nothing leads to it."""
        self.run, self.variant, self.stream = run, variant, stream
        try:
            host, port = run.address(PORT)
        except RunFailedToStart:
            run.stop(0)
            run.close()
            raise
        self.route = ModelServer(host, port, stream)
        self.pump = LogPump(run, log_group, stream, events).start()
        self.stopping = False
        self.watched = False

    @classmethod
    def start(cls, plan: ServerPlan, backend: Backend, events: EventStore) -> ServedModel:
        """Raises RunFailedToStart."""
        run = backend.start(plan.spec())
        stream = f"{plan.variant}/i-{secrets.token_hex(8)}1"
        return cls(run, plan.variant, stream, plan.log_group, events)

    def wait_until_healthy(self, deadline_seconds: float, given_up: threading.Event) -> None:
        """Returns at the first healthy /ping. Raises ModelServerFailed, ModelServerEnded where it
        has ended; stops waiting (and raises) when `given_up` is set."""
        end = time.monotonic() + deadline_seconds
        pause = 0.01
        while not ping(self.route.host, self.route.port):
            code = self.run.wait(0)
            if code is not None or self.run.lost:
                self.pump.join(5)
                raise ModelServerEnded(self._ended(code))
            if given_up.is_set():
                raise ModelServerFailed("It was not needed any more before it was healthy.")
            if time.monotonic() > end:
                raise ModelServerFailed(
                    f"No healthy /ping within {deadline_seconds:g} s.{self._last_words()}"
                )
            time.sleep(pause)
            pause = min(0.1, pause * 1.5)

    def watch(self, ended: Callable[[ServedModel, int | None], None]) -> None:
        """Call `ended(self, exit code)`, from a thread of its own, when the server ends without
        having been told to."""
        self.watched = True

        def wait() -> None:
            code = None
            while code is None and not self.run.lost:
                code = self.run.wait(3600)
            if not self.stopping:
                ended(self, code)

        threading.Thread(target=wait, name=f"watch {self.stream}", daemon=True).start()

    def leave(self) -> None:
        """It goes on without us."""
        self.stopping = True
        self.pump.leave()

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM, grace, SIGKILL; all its lines are stored when this returns."""
        self.stopping = True
        self.run.stop(grace_seconds)
        self.pump.join(10)
        self.run.close()

    def _ended(self, code: int | None) -> str:
        why = f" ({self.run.remark})" if self.run.remark else ""
        return f"The model server ended with exit code {code}{why}.{self._last_words()}"

    def _last_words(self) -> str:
        """The last line that names an exception, for it says why; else the last line."""
        lines = [line.strip() for line in self.pump.tail if line.strip()]
        if not lines:
            return " It printed nothing."
        errors = (line for line in reversed(lines) if _EXCEPTION.match(line))
        return f" It said: {next(errors, lines[-1])}"


def ping(host: str, port: int) -> bool:
    """Whether GET /ping answers 200 within the service's 2 s."""
    connection = http.client.HTTPConnection(host, port, timeout=PING_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
