"""Starts a model server in a probe's folder and asks it what an endpoint's clients would ask."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sagedock.check.runs.hosting_comparison import hybridized, more_workers, one_thread
from sagedock.check.runs.hosting_server import PING_SECONDS, Server, ServingPlan
from sagedock.check.runs.probe import Probe
from sagedock.check.subjects.observations import (
    GROWTH_BYTES,
    GROWTH_STEP,
    Answer,
    Hosting,
    Timing,
)
from sagedock.check.subjects.sample import Sample
from sagedock.domain.images import ImageReference
from sagedock.domain.pings import PING_TIMEOUT_SECONDS

_TOGETHER = 8
_TIMED = 200
_TIMED_SECONDS = 3.0
_GROWN = 4 * GROWTH_STEP
_GROWN_SECONDS = 10.0
_ASKED_ON = 12 * GROWTH_STEP
"""So many requests at least tell whether memory grows, on a busy machine too; where they take
longer than this, it is not told."""
_IN_WORK_SECONDS = 0.02

LARGEST_ANSWER = 6 * 1024 * 1024
"""What the service would refuse (SD511) is asked for once."""

_DEFAULT = Sample("", b"{}", "application/json")


def serve(plan: ServingPlan, probe: Probe) -> Hosting:
    """Everything a check asks of a model server, once. Raises CheckError where the image cannot be
    run here."""
    probe.prepare(plan.image)
    probe.tell(f"Serving {plan.script.shown}" + (", and asking it" if plan.samples else ""))
    server = Server(plan, probe)
    try:
        server.start()
        seen = Hosting(
            script=plan.script,
            trouble=server.trouble,
            lines=(),
            start_seconds=server.start_seconds,
            request_seconds=plan.request_seconds,
            grace_seconds=plan.grace_seconds,
            instance_type=plan.instance_type,
            is_serverless=plan.is_serverless,
            workers=plan.workers,
            one_per_gpu=_is_one_per_gpu(plan.image),
            is_ours=plan.is_ours,
        )
        if not server.trouble:
            seen = _asked(server, plan, seen)
        if seen.timing is not None:
            seen = replace(
                seen,
                hybridized=hybridized(server, plan, probe, seen),
                threads=one_thread(server, plan, probe, seen),
                more_workers=more_workers(server, plan, probe, seen),
            )
        stopped = server.stop_as_the_service_does()
    finally:
        server.stop()
    if stopped is not None:
        seen = replace(seen, stop_seconds=stopped[0], ignored_stop=stopped[1])
    return replace(seen, lines=tuple(server.log.lines))


def _is_one_per_gpu(image: str) -> bool:
    """From 1.4 on the server is multi-model-server: on GPUs it starts a worker for each of them,
    and not for each processor (multi-model-server 1.1.8, ConfigManager)."""
    version = ImageReference.parse(image).version
    return not version or tuple(int(part) for part in version.split(".")[:2]) >= (1, 4)


def _asked(server: Server, plan: ServingPlan, seen: Hosting) -> Hosting:
    accepts: list[str | None] = [*plan.accepts] or [None]
    samples = plan.samples or (_DEFAULT,)
    answers = tuple(server.ask(sample, accept) for sample in samples for accept in accepts)
    seen = replace(seen, answers=answers, worker_memory=server.worker_memory())
    good = list(seen.good)
    too_large = any(len(answer.body) > LARGEST_ANSWER for answer in good)
    if not plan.samples or not good or too_large:
        return seen
    first = good[0]
    without = tuple(server.ask(a.sample, a.accept, typed=False) for a in good)
    any_accept = tuple(server.ask(a.sample, "*/*") for a in good if a.accept != "*/*")
    half = first.sample.body[: len(first.sample.body) // 2]
    broken = tuple(server.ask(first.sample, first.accept, body=body) for body in (b"", half))
    after = server.again(first) if server.pinged() is not None else None
    seen = replace(
        seen,
        without_type=without,
        any_accept=any_accept,
        broken=broken,
        healthy_after_broken=after is not None and after.is_fine,
    )
    if after is None or not after.is_fine:
        return seen
    seen = replace(_together(server, plan, seen), worker_memory=server.worker_memory())
    if after.seconds * _TOGETHER > plan.request_seconds:  # asked often enough
        seconds = (first.seconds, after.seconds, server.again(first).seconds)
        return replace(seen, timing=timing(seconds))
    taken, growth = _timed(server, first)
    return replace(seen, timing=taken, growth=growth)


def _together(server: Server, plan: ServingPlan, seen: Hosting) -> Hosting:
    """Several requests at once, beside the answers to each alone; and how long /ping took
    meanwhile."""
    good = list(seen.good)
    if sum(answer.seconds for answer in good) / len(good) * _TOGETHER > plan.request_seconds:
        limit = f"{plan.request_seconds:g} s"
        why = f"{_TOGETHER} requests one after the other take longer than {limit}"
        return replace(seen, not_together=why)
    steady = [answer for answer in good if server.again(answer).body == answer.body]
    asked = [(steady or good)[number % len(steady or good)] for number in range(_TOGETHER)]
    answers, pinged = _busy(server, asked)
    if pinged is not None and pinged > PING_TIMEOUT_SECONDS:  # once may be the machine's doing
        _, again = _busy(server, asked)
        pinged = None if again is None else min(pinged, again)
    seen = replace(seen, busy_ping_seconds=pinged)
    if not steady:
        return replace(seen, not_together="one request gets another answer each time")
    return replace(seen, together=tuple(zip(asked, answers, strict=True)))


def _busy(server: Server, asked: Sequence[Answer]) -> tuple[list[Answer], float | None]:
    """The answers, and the longest /ping of those that were sent while requests were in work; None
    where all were answered before the first."""
    longest = None
    with ThreadPoolExecutor(len(asked)) as pool:
        under_way = [pool.submit(server.again, answer) for answer in asked]
        time.sleep(_IN_WORK_SECONDS)
        while not all(request.done() for request in under_way):
            pinged = server.pinged()
            longest = max(longest or 0.0, PING_SECONDS if pinged is None else pinged)
            time.sleep(_IN_WORK_SECONDS)
        return [request.result() for request in under_way], longest


def _timed(server: Server, first: Answer) -> tuple[Timing, tuple[int, ...]]:
    """Seconds of each request, and what the server held from time to time. Where that became much
    more, it is asked on: what an allocator keeps stays as it is some day, a leak does not."""
    seconds: list[float] = []
    sizes: list[int] = []

    def ask(most: int, goes_on: Callable[[float], bool]) -> None:
        started = time.monotonic()
        while len(seconds) < most and goes_on(time.monotonic() - started):
            seconds.append(server.again(first).seconds)
            if len(seconds) % GROWTH_STEP == 0:
                sizes.append(server.memory())

    def is_worth_it(passed: float) -> bool:
        too_slow = len(seconds) < _GROWN * _TIMED_SECONDS / _GROWN_SECONDS
        enough = len(seconds) >= _GROWN or too_slow
        return passed < (_TIMED_SECONDS if enough else _GROWN_SECONDS)

    ask(_TIMED, is_worth_it)
    taken = timing(seconds)
    if len(seconds) < _GROWN or not all(sizes):
        return taken, ()
    if sizes[-1] - sizes[0] > GROWTH_BYTES:
        ask(len(seconds) + _ASKED_ON, lambda passed: passed < _GROWN_SECONDS)
    return taken, tuple(sizes)


def timing(seconds: Sequence[float]) -> Timing:
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    return Timing(statistics.median(ordered), p95, len(ordered))
