"""Runs of one training job, watched to their end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from sagedock.backends.base import Run
from sagedock.errors import CheckError


def _lines(run: Run) -> list[tuple[int, str]]:
    """Each with the moment at which it was printed, in milliseconds."""
    return [(line.timestamp_ms, line.text) for line in run.lines()]


class Watched:
    """Runs of one job until all have ended, one has failed, or the time is over."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self.code: int | None = None
        self.stop_seconds: float | None = None
        self.ignored_stop = False
        self.remark = ""
        self._pool = ThreadPoolExecutor(len(runs))
        self._logs = [self._pool.submit(_lines, run) for run in runs]

    def wait(self, seconds: float, grace_seconds: float) -> None:
        end = time.monotonic() + seconds
        codes: list[int | None] = [None] * len(self._runs)
        while time.monotonic() < end and None in codes and not any(codes):
            codes = [run.wait(0.05) for run in self._runs]
            for run in self._runs:
                if run.lost:
                    raise CheckError(f"The run was lost: {run.remark or 'nobody saw its end'}.")
        failed = [code for code in codes if code]
        if failed or None not in codes:
            self.code = failed[0] if failed else 0
            self.remark = next((run.remark for run in self._runs if run.remark), "")
        for run in self._runs:
            if run.wait(0) is None:
                self._stop(run, 0.0 if failed else grace_seconds)

    def _stop(self, run: Run, grace_seconds: float) -> None:
        """As the service stops a job: SIGTERM, and SIGKILL when the grace is over."""
        started = time.monotonic()
        run.stop(grace_seconds)
        if grace_seconds:
            self.stop_seconds = time.monotonic() - started
            self.ignored_stop = self.stop_seconds >= grace_seconds

    @property
    def lines(self) -> Iterator[str]:
        for log in self._logs:
            yield from (text for _, text in log.result())
        self._pool.shutdown()

    @property
    def spread_seconds(self) -> float:
        """From a run's first line to its last; of several runs the longest."""
        logs = [log.result() for log in self._logs]
        return max((log[-1][0] - log[0][0] for log in logs if log), default=0) / 1000
