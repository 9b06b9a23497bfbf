"""One model served as it is and with one thing changed, asked in turns: is it any faster?

In turns, since a machine has other things to do: what it loses to them, both lose.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sagedock.check.runs.hosting_server import WORKERS, Server, ServingPlan
from sagedock.check.runs.probe import Probe
from sagedock.check.subjects.observations import Answer, Comparison, Hosting, Hybridized

THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MXNET_CPU_WORKER_NTHREADS",
)  # fmt: skip
"""Variables that say how many threads each worker computes with."""

_CLIENTS = 8
_TURNS = 3
_MOST_TURNS = 7
_TURN_SECONDS = 0.5
_LONG_TURN_SECONDS = 2.0
_FEW = 10
_SEEMS_FASTER = 1.05


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hybridized(server: Server, plan: ServingPlan, probe: Probe, seen: Hosting) -> Hybridized | None:
    """The same model once more, its net hybridized; None where it is, or where none is."""
    other = Server(plan, probe, server.environment)
    place = plan.hybridize(other.model)
    if place is None:
        return None
    first = next(seen.good)
    found = _compared(server, other, first, clients=1, was="as it is", now="hybridized")
    return None if found is None else Hybridized(found, place)


def one_thread(server: Server, plan: ServingPlan, probe: Probe, seen: Hosting) -> Comparison | None:
    """Against one thread a worker, where the user sets more. With a worker for each processor, as
    the cloud starts them unless it is told otherwise."""
    given = {name: plan.environment[name] for name in THREADS if name in plan.environment}
    several = {name: value for name, value in given.items() if value.strip() not in ("", "1")}
    if not plan.is_ours or not several or _is_slow(seen):
        return None
    workers = {WORKERS: server.environment[WORKERS] if plan.workers else str(cores())}
    was = {**server.environment, **workers}
    now = {**was, **dict.fromkeys(several, "1")}
    return _against(server, plan, probe, next(seen.good), was, now)


def more_workers(
    server: Server, plan: ServingPlan, probe: Probe, seen: Hosting
) -> Comparison | None:
    """Against a worker for each processor of this machine, where the user wants fewer. With one
    thread each, as AWS's images have it: ours would give few workers several."""
    if not plan.is_ours or plan.workers is None or plan.workers >= cores() or _is_slow(seen):
        return None
    was = {"OMP_NUM_THREADS": "1", **server.environment}
    now = {**was, WORKERS: str(cores())}
    return _against(server, plan, probe, next(seen.good), was, now)


def _is_slow(seen: Hosting) -> bool:
    """A turn would hold too few of such requests to tell anything."""
    return seen.timing is None or seen.timing.p50 > _TURN_SECONDS


def _against(
    server: Server,
    plan: ServingPlan,
    probe: Probe,
    first: Answer,
    was: Mapping[str, str],
    now: Mapping[str, str],
) -> Comparison | None:
    told = [
        ", ".join(f"{name}={env[name]}" for name in now if was[name] != now[name])
        for env in (was, now)
    ]
    plain = server if was == server.environment else Server(plan, probe, was)
    try:
        if plain is not server:
            plain.start()
        if plain.trouble:
            return None
        other = Server(plan, probe, now)
        return _compared(plain, other, first, clients=_CLIENTS, was=told[0], now=told[1])
    finally:
        if plain is not server:
            plain.stop()


def _compared(
    plain: Server, other: Server, first: Answer, *, clients: int, was: str, now: str
) -> Comparison | None:
    """None where the other one does not answer."""
    try:
        other.start()
        if other.trouble:
            return None
        answer = other.again(first)
        if not answer.is_fine:
            return None
        for server in (plain, other):
            _answers_a_second(server, first, 1)  # the first ones are slower
        found = Comparison(was, now, (), (), _alike(answer.body, first.body), clients, cores())
        while len(found.before) < _TURNS or (len(found.before) < _MOST_TURNS and _is_open(found)):
            found = replace(
                found,
                before=(*found.before, _answers_a_second(plain, first, clients)),
                after=(*found.after, _answers_a_second(other, first, clients)),
            )
        return found
    finally:
        other.stop()


def _is_open(found: Comparison) -> bool:
    """It seems to be faster, and chance could explain that still."""
    was, now = found.rates
    return found.same_answers and now > was * _SEEMS_FASTER and not found.is_clear


def _answers_a_second(server: Server, first: Answer, clients: int) -> float:
    """In one turn, which is longer where too few were answered to tell anything."""
    started = time.monotonic()

    def asked() -> int:
        count, passed = 0, 0.0
        while passed < _TURN_SECONDS or (count * clients < _FEW and passed < _LONG_TURN_SECONDS):
            count += server.again(first).is_fine
            passed = time.monotonic() - started
        return count

    with ThreadPoolExecutor(clients) as pool:
        counts = [count.result() for count in [pool.submit(asked) for _ in range(clients)]]
    return sum(counts) / (time.monotonic() - started)


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
