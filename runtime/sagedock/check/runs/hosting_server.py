"""A model server in a probe's folder: started, asked, measured, stopped."""

from __future__ import annotations

import http.client
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.check.runs import process_memory
from sagedock.check.runs.probe import NOWHERE, Probe
from sagedock.check.subjects.observations import Answer, Code, WorkerMemory
from sagedock.check.subjects.sample import Sample
from sagedock.errors import CheckError, RunFailedToStart
from sagedock.lifecycle.model_server import ModelServerFailed, ServedModel, ServerPlan

WORKERS = "SAGEMAKER_MODEL_SERVER_WORKERS"
PING_SECONDS = 5.0
"""How long a /ping is waited for here; the service gives up after 2 s."""

_MARK = "SAGEDOCK_CHECK"
_FEW_WORKERS = 2
"""Two, on any machine: one alone would never mix up requests."""
_SHORT_GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class ServingPlan:
    """`stage` fills a fresh model folder; `code` is the folder that older generations fetch."""

    script: Code
    image: str
    stage: Callable[[Path], None]
    samples: Sequence[Sample] = ()
    accepts: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    instance_type: str | None = None
    is_serverless: bool = False
    startup_seconds: float = 120.0
    request_seconds: float = 60.0
    grace_seconds: float = 30.0
    hybridize: Callable[[Path], tuple[str, int] | None] = lambda folder: None
    """Makes a staged model hybridize its net; the place that lacks it, None where none does."""

    @property
    def is_ours(self) -> bool:
        """Of an image of the user's own nothing is known: neither its workers nor its variables."""
        return bool(self.script.entry)

    @property
    def workers(self) -> int | None:
        """How many the user asks for; None where the image decides."""
        text = self.environment.get(WORKERS, "").strip()
        return int(text) if text.isdigit() and int(text) else None

    @property
    def served_environment(self) -> dict[str, str]:
        """With no more workers than a few: each has a model of its own."""
        most = max(_FEW_WORKERS, os.cpu_count() or 1)
        workers = min(self.workers or _FEW_WORKERS, most)
        return {**self.environment, WORKERS: str(workers)}


class Lines:
    """Fulfils `lifecycle.log_pump.EventStore`: keeps a server's lines in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def create_stream(self, group: str, stream: str, now_ms: int) -> None:
        """There is one."""

    def append(
        self,
        group: str,
        stream: str,
        events: Iterable[tuple[int, str]],
        position: str | None,
        now_ms: int,
    ) -> None:
        self.lines += [text for _, text in events]

    def position(self, group: str, stream: str) -> str | None:
        return None

    def since(self, number: int, *, wait: bool) -> tuple[str, ...]:
        """Lines from `number` on; of an error they may come a little after the answer."""
        end = time.monotonic() + (0.5 if wait else 0.0)
        while time.monotonic() < end and len(self.lines) == number:
            time.sleep(0.02)
        if wait:
            time.sleep(0.05)
        return tuple(self.lines[number:])


class Server:
    """One started model server of a plan; `environment` where it is another than the plan's."""

    def __init__(
        self, plan: ServingPlan, probe: Probe, environment: Mapping[str, str] | None = None
    ) -> None:
        self._plan = plan
        self._mark = secrets.token_hex(8)
        self.environment = plan.served_environment if environment is None else environment
        self.log = Lines()
        root = probe.new_folder("hosting")
        self.model = root / "model"
        self.model.mkdir()
        plan.stage(self.model)
        self._probe, self._root = probe, root
        self._served: ServedModel | None = None
        self._gave_up = False
        self.trouble = ""
        self.start_seconds = 0.0

    def start(self) -> None:
        """Until it is healthy; `trouble` is set where it never is."""
        workdir = self._root / "server"
        for part in ("ml/input", "ml/output", "ml/code"):
            (workdir / part).mkdir(parents=True)
        spec = ServerPlan(
            endpoint="check",
            arn="arn:aws:sagemaker:us-east-1:000000000000:endpoint/check",
            variant="AllTraffic",
            image=self._plan.image,
            env={**NOWHERE, **self.environment, _MARK: self._mark},
            model_folder=self.model,
            workdir=workdir,
            log_group="check",
            is_first=True,
        )
        started = time.monotonic()
        try:
            self._served = ServedModel.start(spec, self._probe.backend, self.log)
            self._served.wait_until_healthy(self._plan.startup_seconds, threading.Event())
        except RunFailedToStart as error:
            raise CheckError(str(error)) from error
        except ModelServerFailed as error:
            self.trouble = str(error)
        self.start_seconds = time.monotonic() - started

    def stop(self) -> None:
        if self._served is not None:
            self._served.stop(_SHORT_GRACE_SECONDS)

    def stop_as_the_service_does(self) -> tuple[float, bool] | None:
        """Seconds from SIGTERM to the end, and whether it had to be killed. None where a request
        may still be in work, for which a server waits."""
        if self._served is None or self.trouble or self._gave_up:
            return None
        started = time.monotonic()
        self._served.run.stop(self._plan.grace_seconds)
        seconds = time.monotonic() - started
        return seconds, seconds >= self._plan.grace_seconds

    def pinged(self) -> float | None:
        """Seconds until /ping was answered with 200; None where it was not, in PING_SECONDS."""
        assert self._served is not None
        route, started = self._served.route, time.monotonic()
        connection = http.client.HTTPConnection(route.host, route.port, timeout=PING_SECONDS)
        try:
            connection.request("GET", "/ping")
            is_healthy = connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return time.monotonic() - started if is_healthy else None

    def ask(
        self, sample: Sample, accept: str | None, *, typed: bool = True, body: bytes | None = None
    ) -> Answer:
        """POST /invocations, as the service does."""
        assert self._served is not None
        route, before, started = self._served.route, len(self.log.lines), time.monotonic()
        headers = {"Content-Type": sample.content_type} if typed else {}
        if accept is not None:
            headers["Accept"] = accept
        connection = http.client.HTTPConnection(
            route.host, route.port, timeout=self._plan.request_seconds
        )
        status, kind, content, dropped = 0, "", b"", False
        try:
            sent = sample.body if body is None else body
            connection.request("POST", "/invocations", sent, headers)
            response = connection.getresponse()
            content = response.read()
            status, kind = response.status, response.headers.get("Content-Type", "")
        except TimeoutError:
            self._gave_up = True
        except (OSError, http.client.HTTPException):
            dropped = True
        finally:
            connection.close()
        seconds = time.monotonic() - started
        log = self.log.since(before, wait=not 200 <= status < 300)
        sent_type = sample.content_type if typed else None
        return Answer(sample, sent_type, accept, status, kind, content, seconds, log, dropped)

    def again(self, answer: Answer) -> Answer:
        """The same request once more."""
        return self.ask(answer.sample, answer.accept)

    def memory(self) -> int:
        return process_memory.held(self._mark)

    def worker_memory(self) -> WorkerMemory | None:
        return process_memory.of_a_worker(self._mark)
