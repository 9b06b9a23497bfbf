"""Starts a model server in a probe's folder and asks it what an endpoint's clients would ask."""

from __future__ import annotations

import http.client
import os
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from sagedock.check.observations import (
    Answer,
    Code,
    Hosting,
    Hybridized,
    Sample,
    Timing,
)
from sagedock.check.probe import NOWHERE, Probe
from sagedock.errors import CheckError, RunFailedToStart
from sagedock.lifecycle.model_server import ModelServerFailed, ServedModel, ServerPlan, ping

_TOGETHER = 8
_TIMED = 200
_TIMED_SECONDS = 3.0
_WARM = 20
_MARK = "SAGEDOCK_CHECK"
_WORKERS = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2"}
"""Two, on any machine: one alone would never mix up requests."""

LARGEST_ANSWER = 6 * 1024 * 1024
"""What the service would refuse (SD511) is asked for once."""

_DEFAULT = Sample("", b"{}", "application/json")


@dataclass(frozen=True)
class ServingPlan:
    """`stage` fills a fresh model folder; `code` is the folder that older generations fetch."""

    script: Code
    image: str
    stage: Callable[[Path], None]
    samples: Sequence[Sample] = ()
    accepts: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    startup_seconds: float = 120.0
    request_seconds: float = 60.0
    hybridize: Callable[[Path], tuple[str, int] | None] = lambda folder: None
    """Makes a staged model hybridize its net; the place that lacks it, None where none does."""


class _Lines:
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


class _Server:
    """One started model server of a plan."""

    def __init__(self, plan: ServingPlan, probe: Probe) -> None:
        self._plan = plan
        self._mark = secrets.token_hex(8)
        self.log = _Lines()
        root = probe.new_folder("hosting")
        self.model = root / "model"
        self.model.mkdir()
        plan.stage(self.model)
        self._probe, self._root = probe, root
        self._served: ServedModel | None = None
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
            env={**NOWHERE, **_WORKERS, **self._plan.environment, _MARK: self._mark},
            model_folder=self.model,
            workdir=workdir,
            log_group="check",
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
            self._served.stop(2.0)

    def is_healthy(self) -> bool:
        assert self._served is not None
        return ping(self._served.route.host, self._served.route.port)

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
        status, kind, content = 0, "", b""
        try:
            sent = sample.body if body is None else body
            connection.request("POST", "/invocations", sent, headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
            kind = response.headers.get("Content-Type", "")
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        seconds = time.monotonic() - started
        log = self.log.since(before, wait=not 200 <= status < 300)
        sent_type = sample.content_type if typed else None
        return Answer(sample, sent_type, accept, status, kind, content, seconds, log)

    def memory(self) -> int:
        """Bytes that its processes hold; 0 where the system does not tell (Linux does)."""
        total = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    pages = int((folder / "statm").read_text().split()[1])
                    total += pages * os.sysconf("SC_PAGE_SIZE")
            except (OSError, ValueError, IndexError):
                continue
        return total


def serve(plan: ServingPlan, probe: Probe) -> Hosting:
    """Everything a check asks of a model server, once. Raises CheckError where the image cannot be
    run here."""
    probe.prepare(plan.image)
    server = _Server(plan, probe)
    try:
        server.start()
        if server.trouble:
            lines = tuple(server.log.lines)
            return Hosting(plan.script, server.trouble, lines, server.start_seconds)
        seen = _asked(server, plan)
    finally:
        server.stop()
    if seen.timing is not None:
        seen = replace(seen, hybridized=_hybridized(plan, probe, seen))
    return replace(seen, lines=tuple(server.log.lines))


def _asked(server: _Server, plan: ServingPlan) -> Hosting:
    accepts: list[str | None] = [*plan.accepts] or [None]
    samples = plan.samples or (_DEFAULT,)
    answers = tuple(server.ask(sample, accept) for sample in samples for accept in accepts)
    seen = Hosting(plan.script, "", (), server.start_seconds, answers)
    good = list(seen.good)
    too_large = any(len(answer.body) > LARGEST_ANSWER for answer in good)
    if not plan.samples or not good or too_large:
        return seen
    first = good[0]
    without = tuple(server.ask(a.sample, a.accept, typed=False) for a in good)
    any_accept = tuple(server.ask(a.sample, "*/*") for a in good if a.accept != "*/*")
    half = first.sample.body[: len(first.sample.body) // 2]
    broken = tuple(server.ask(first.sample, first.accept, body=body) for body in (b"", half))
    healthy = server.is_healthy() and server.ask(first.sample, first.accept).is_fine
    seen = replace(
        seen,
        without_type=without,
        any_accept=any_accept,
        broken=broken,
        healthy_after_broken=healthy,
    )
    if not healthy:
        return seen
    together, pinged = _together(server, good)
    timing, growth = _timed(server, first)
    return replace(seen, together=together, busy_ping_seconds=pinged, timing=timing, growth=growth)


def _together(
    server: _Server, good: Sequence[Answer]
) -> tuple[tuple[tuple[Answer, Answer], ...], float | None]:
    """Several requests at once, beside the answers to each alone; and how long /ping took
    meanwhile. Nothing where a model answers differently each time."""
    again = [server.ask(answer.sample, answer.accept) for answer in good]
    steady = [a for a, b in zip(good, again, strict=True) if a.body == b.body]
    if not steady:
        return (), None
    alone = [steady[number % len(steady)] for number in range(_TOGETHER)]
    with ThreadPoolExecutor(_TOGETHER) as pool:
        answers = pool.map(lambda answer: server.ask(answer.sample, answer.accept), alone)
        started = time.monotonic()
        server.is_healthy()
        pinged = time.monotonic() - started
        return tuple(zip(alone, answers, strict=True)), pinged


def _timed(server: _Server, first: Answer) -> tuple[Timing, tuple[int, int, int] | None]:
    seconds: list[float] = []
    end = time.monotonic() + _TIMED_SECONDS
    before = 0
    while len(seconds) < _TIMED and (time.monotonic() < end or len(seconds) < 3):
        if len(seconds) == _WARM:
            before = server.memory()
        seconds.append(server.ask(first.sample, first.accept).seconds)
    counted = len(seconds) - _WARM
    growth = (before, server.memory(), counted) if before and counted > 0 else None
    return timing(seconds), growth


def timing(seconds: Sequence[float]) -> Timing:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return Timing(statistics.median(ordered), p95, len(ordered))


def _hybridized(plan: ServingPlan, probe: Probe, seen: Hosting) -> Hybridized | None:
    """The same model once more, its net hybridized; None where it is, or where none is."""
    server = _Server(plan, probe)
    place = plan.hybridize(server.model)
    if place is None or seen.timing is None:
        return None
    first = next(seen.good)
    try:
        server.start()
        if server.trouble:
            return None
        answer = server.ask(first.sample, first.accept)
        if not answer.is_fine:
            return None
        seconds = [server.ask(first.sample, first.accept).seconds for _ in range(_WARM)]
        taken, _ = _timed(server, first)
        del seconds
    finally:
        server.stop()
    same = _alike(answer.body, first.body)
    return Hybridized(seen.timing.p50, taken.p50, same, place)


def _alike(one: bytes, other: bytes) -> bool:
    """Equal but for the last digits: numbers of a JSON answer within a ten-thousandth."""
    if one == other:
        return True
    ours, theirs = _numbers(one), _numbers(other)
    return len(ours) == len(theirs) > 0 and all(
        abs(a - b) <= 1e-4 * max(1.0, abs(a)) for a, b in zip(ours, theirs, strict=True)
    )


def _numbers(body: bytes) -> list[float]:
    found = []
    for word in (
        body.decode("utf-8", errors="replace").replace("[", " ").replace("]", " ").split(",")
    ):
        try:
            found.append(float(word))
        except ValueError:
            return []
    return found
