"""TrainingJob: Starting → Downloading → Training → Uploading → Completed, one thread per job.

Only a job's own thread moves it on; the API can only ask (`stop`). Every step is on disk before
anybody is told, so that a restarted emulator finds the job where it was: `adopt` takes up its runs
again, or starts it anew when it had none yet.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone

from sagedock.domain.states import STOPPING
from sagedock.domain.training import TrainingJob
from sagedock.lifecycle.supervisor import Supervisor
from sagedock.lifecycle.training_run import JobLeft, StopRequest, TrainingRooms, TrainingRun
from sagedock.lifecycle.workdir import Workdir
from sagedock.store.resources import NotFound, Outdated

log = logging.getLogger("sagedock.training")


class TrainingLifecycle:
    """Starts, stops and adopts training jobs."""

    def __init__(self, rooms: TrainingRooms, supervisor: Supervisor) -> None:
        self._rooms = rooms
        self._supervisor = supervisor
        self._stops: dict[str, StopRequest] = {}
        self._lock = threading.Lock()

    def start(self, job: TrainingJob) -> None:
        """Take the job to its end in a thread of its own; returns at once."""
        self._supervisor.spawn(job.arn, lambda: self._take_to_its_end(job))

    def stop(self, job: TrainingJob, grace_seconds: float | None = None, message: str = "") -> None:
        """Ask the job to stop: Stopping now, its thread does the rest. No error when it ended."""
        grace = self._rooms.grace_seconds if grace_seconds is None else grace_seconds

        def stopping(current: TrainingJob) -> TrainingJob:
            if current.has_ended or current.stop_requested:
                return current
            return replace(current, stop_requested=True).moved_to(STOPPING, _now())

        self.change(job.name, stopping)
        request = self._stop_request(job.arn)
        request.grace_seconds, request.message = grace, message or None
        request.event.set()

    def sweep(self, unfinished: Iterable[TrainingJob]) -> None:
        """Remove the folders of jobs that ended just before we were killed."""
        names = {job.name for job in unfinished}
        for folder in self._rooms.folder.glob("*"):
            if folder.name not in names:
                Workdir(folder).remove()

    def adopt(self, unfinished: Iterable[TrainingJob]) -> None:
        """After our own restart: every unfinished job goes on."""
        for job in unfinished:
            self.start(job)

    def stop_all(self, grace_seconds: float) -> None:
        """The emulator ends and takes its jobs with it."""
        for job in self._rooms.jobs.find():
            if not job.has_ended:
                self.stop(job, grace_seconds, "Training job stopped, because the emulator was")

    def change(self, name: str, how: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Save `how(job)`, redone when somebody else saved meanwhile, and tell who waits."""
        while True:
            current = self._rooms.jobs.get(name)
            wanted = how(current)
            if wanted is current:
                return current
            try:
                saved = self._rooms.jobs.save(wanted)
            except Outdated:
                continue
            self._rooms.changes.notify(saved.arn)
            return saved

    def _take_to_its_end(self, job: TrainingJob) -> None:
        stop = self._stop_request(job.arn)
        if job.stop_requested:
            stop.event.set()
        try:
            TrainingRun(job, self._rooms, stop, self.change).take_to_its_end()
        except NotFound:
            log.info("%s was deleted while it ended", job.name)
        except JobLeft:
            log.info("%s ends at the next start", job.name)
        finally:
            with self._lock:
                self._stops.pop(job.arn, None)

    def _stop_request(self, arn: str) -> StopRequest:
        with self._lock:
            return self._stops.setdefault(arn, StopRequest(grace_seconds=self._rooms.grace_seconds))


def _now() -> datetime:
    return datetime.now(timezone.utc)
