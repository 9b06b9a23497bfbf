"""One training job, from where it stands to its end: a straight line of steps.

`take_to_its_end` is the single place where exit code, failure file, time limit, stop and our own
faults become Completed, Stopped or Failed.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from sagedock import archives
from sagedock.backends.base import Backend, Mount, Run, RunSpec
from sagedock.domain.states import (
    COMPLETED,
    DOWNLOADING,
    MAX_RUNTIME_EXCEEDED,
    STOPPED,
    STOPPING,
    TRAINING,
    TRAINING_IMAGE,
    UPLOADING,
)
from sagedock.domain.training import FAILURE_REASON_LIMIT, TrainingJob
from sagedock.errors import ImageNotFound, RunFailedToStart, SagedockError, ServiceError
from sagedock.lifecycle.changes import Changes
from sagedock.lifecycle.channels import DataDownloadFailed
from sagedock.lifecycle.input_data import InputData
from sagedock.lifecycle.log_pump import EventStore, LogPump
from sagedock.lifecycle.metric_watch import MetricStore, MetricWatch
from sagedock.lifecycle.object_store import ObjectStore, split_uri
from sagedock.lifecycle.run_environment import RunEnvironment
from sagedock.lifecycle.workdir import Workdir, training_workdir
from sagedock.store.database import DiskFull
from sagedock.store.resources import Resources
from sagedock.store.runs import RunRecord, Runs

log = logging.getLogger("sagedock.training")

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
Change = Callable[[str, Callable[[TrainingJob], TrainingJob]], TrainingJob]


@dataclass(frozen=True, slots=True)
class TrainingRooms:
    """What a training job's thread works with."""

    jobs: Resources[TrainingJob]
    runs: Runs
    events: EventStore
    metrics: MetricStore
    objects: ObjectStore
    backend: Backend
    changes: Changes
    environment: RunEnvironment
    folder: Path
    grace_seconds: float
    closing: threading.Event


@dataclass(slots=True)
class StopRequest:
    """Set once; says who asked, since the emulator's own end has a shorter grace."""

    event: threading.Event = field(default_factory=threading.Event)
    grace_seconds: float = 120.0
    message: str | None = None


class JobFailed(SagedockError):
    """The job ends Failed; the text is its FailureReason."""


class JobStopped(SagedockError):
    """The user (or the emulator's end) asked, before there was anything to keep."""


class JobLeft(SagedockError):
    """The emulator ends and the job does not: the next start takes it up where it is."""


class HostRun:
    """One host of the job: its folder, its run, its log."""

    def __init__(self, host: str, workdir: Workdir, run: Run, pump: LogPump) -> None:
        self.host, self.workdir, self.run, self.pump = host, workdir, run, pump


class TrainingRun:
    """The work of a job's thread."""

    def __init__(
        self, job: TrainingJob, rooms: TrainingRooms, stop: StopRequest, change: Change
    ) -> None:
        self.job, self._rooms, self._stop, self._change = job, rooms, stop, change
        definitions = job.request["AlgorithmSpecification"].get("MetricDefinitions", ())
        self._watch = MetricWatch(job.name, definitions, rooms.metrics)
        self._folder = rooms.folder / job.name
        self._out_of_time = False

    def take_to_its_end(self) -> None:
        hosts: list[HostRun] = []
        try:
            self._go_through(hosts)
        except JobLeft:
            for host in hosts:
                host.pump.leave()
            return
        except JobStopped:
            self._enter(STOPPED, self._stop.message)
        except (JobFailed, DataDownloadFailed) as failure:
            self._upload_what_is_left(hosts)
            self._fail(str(failure))
        except DiskFull as error:
            self._fail(f"InternalServerError: {error}")
        except Exception:
            if self._rooms.closing.is_set():
                raise  # the stores are being closed under us; the job is as it was
            log.exception("Training job %s failed through a fault of sagedock's own", self.job.name)
            reason = (
                "InternalServerError: We encountered an internal error. Please try again. "
                "(sagedock: the emulator's own log has the traceback)"
            )
            self._fail(reason)
        self._clean(hosts)

    # --- steps, in order ----------------------------------------------------------------------

    def _go_through(self, hosts: list[HostRun]) -> None:
        """All steps of a job that goes well. `hosts` is the caller's, who has to end what runs
        when a step raises."""
        self._adopt(hosts)
        if not hosts:
            self._start(hosts)
        code = self._wait(hosts)
        self._check(code, hosts)
        self._upload(hosts, model=True)
        self._finish()

    def _adopt(self, hosts: list[HostRun]) -> None:
        """Take up the hosts of a job that ran before our restart; none when it had not started
        yet. Raises JobFailed when a run did not survive."""
        for record in self._rooms.runs.of(self.job.arn):
            run = self._rooms.backend.find(record.id)
            if run is None:
                raise JobFailed(
                    "InternalServerError: the emulator was stopped while the job ran, and the run "
                    "did not survive it. Create the job again."
                )
            workdir = Workdir(self._folder / record.host)
            hosts.append(self._host(record.host, workdir, run, record.details["stream"]))
        if hosts and len(hosts) < len(self.job.hosts):
            # We were killed between the start of one host and the next: begin again.
            self._end(hosts)
            hosts.clear()
        if hosts:
            self._watch.recall(self.job.created.timestamp())
            # Stopping without anybody having asked: the time was over before our restart.
            seen = {step.status for step in self.job.transitions}
            self._out_of_time = STOPPING in seen and not self.job.stop_requested

    def _start(self, hosts: list[HostRun]) -> None:
        """From nothing: check the image, stage the data, start every host."""
        image = self.job.image
        if image is None:
            raise JobFailed("ClientError: AlgorithmName is not emulated; name a TrainingImage.")
        try:
            self._rooms.backend.check(image)
        except (ImageNotFound, RunFailedToStart) as error:
            raise JobFailed(f"ClientError: {error}") from error
        self._raise_if_stopped()
        self._enter(DOWNLOADING)
        Workdir(self._folder).remove()
        workdirs = self._workdirs()
        streams = {host: f"{self.job.name}/{host}-{int(time.time())}" for host in self.job.hosts}
        specs: dict[str, RunSpec] = {}
        try:
            guard = self._rooms.backend.guard(image, self.job.instance_type)
            data = InputData(self.job, workdirs, self._rooms.objects, guard)
            mounts = data.mounts()
            for host in self.job.hosts:
                specs[host] = self._spec(host, workdirs[host], image, mounts[host])
                self._rooms.backend.ahead(specs[host])
            data.stage()
            self._raise_if_stopped()
            self._prepare(image, streams[self.job.hosts[0]])
            self._raise_if_stopped()
            for host, spec in specs.items():
                hosts.append(self._start_host(host, workdirs[host], spec, streams[host]))
        except (ImageNotFound, RunFailedToStart) as error:
            raise JobFailed(f"ClientError: {error}") from error
        finally:
            for spec in specs.values():
                self._rooms.backend.abandon(spec.name)

    def _workdirs(self) -> dict[str, Workdir]:
        job, interface = self.job, "lo" if self._rooms.backend.name == "process" else "eth0"
        return {
            host: training_workdir(self._folder / host, job, host, interface) for host in job.hosts
        }

    def _prepare(self, image: str, stream: str) -> None:
        """An environment that has to be built first shows its progress in the job's own log."""
        told = False

        def tell(line: str) -> None:
            nonlocal told
            now = int(time.time() * 1000)
            if not told:
                told = True
                self._enter(TRAINING_IMAGE)
                self._rooms.events.create_stream(LOG_GROUP, stream, now)
            log.info("%s: %s", self.job.name, line)
            self._rooms.events.append(LOG_GROUP, stream, [(now, f"[sagedock] {line}")], None, now)

        try:
            self._rooms.backend.prepare(image, tell, self.job.instance_type)
        except (ImageNotFound, RunFailedToStart) as error:
            raise JobFailed(f"ClientError: {error}") from error

    def _spec(self, host: str, workdir: Workdir, image: str, files: tuple[Mount, ...]) -> RunSpec:
        algorithm = self.job.request["AlgorithmSpecification"]
        return RunSpec(
            name=f"{self.job.name}-{host}-{secrets.token_hex(3)}",
            image=image,
            command=("train",),
            workdir=workdir.root,
            mounts=(Mount(workdir.ml, "/opt/ml"), *files),
            env={
                **self._rooms.environment.variables(),
                "TRAINING_JOB_NAME": self.job.name,
                "TRAINING_JOB_ARN": self.job.arn,
                **self.job.request.get("Environment", {}),
            },
            hostname=host,
            hosts=self.job.hosts,
            instance_type=self.job.instance_type,
            entrypoint=tuple(algorithm.get("ContainerEntrypoint", ())),
            arguments=tuple(algorithm.get("ContainerArguments", ())),
            isolated=bool(self.job.request.get("EnableNetworkIsolation", False)),
            labels={"job": self.job.name},
        )

    def _start_host(self, host: str, workdir: Workdir, spec: RunSpec, stream: str) -> HostRun:
        run = self._rooms.backend.start(spec)
        try:
            # Known to us before anything else happens: a run that no record names is an orphan,
            # and the next start ends it.
            self._rooms.runs.add(RunRecord(run.id, self.job.arn, host, {"stream": stream}))
            return self._host(host, workdir, run, stream)
        except BaseException:
            run.close()  # it is in nobody's list yet
            raise

    def _host(self, host: str, workdir: Workdir, run: Run, stream: str) -> HostRun:
        pump = LogPump(run, LOG_GROUP, stream, self._rooms.events, [self._watch]).start()
        return HostRun(host, workdir, run, pump)

    def _wait(self, hosts: list[HostRun]) -> int:
        """Until all hosts have ended, one has failed, time is over, or a stop was asked for; the
        first exit code that is not 0."""
        self._enter(TRAINING)
        started = self.job.training_started
        assert started is not None or self._stop.event.is_set()
        limit = self.job.max_runtime_seconds
        waiting, code = list(hosts), 0
        while waiting and code == 0:
            ended = waiting[0].run.wait(0.1)
            if waiting[0].run.lost:
                why = waiting[0].run.remark or _NOBODY_SAW
                raise JobFailed(f"InternalServerError: {why}. Create the job again.")
            if ended is not None:
                code = ended
                waiting.pop(0)
                continue
            if self._rooms.closing.is_set():
                raise JobLeft
            if len(waiting) > 1:
                waiting.append(waiting.pop(0))
            if started is not None and (_now() - started).total_seconds() > limit:
                self._out_of_time = True
                self._enter(STOPPING, "Training job runtime exceeded MaxRuntimeInSeconds provided")
            if self._stop.event.is_set() or self._out_of_time:
                break
        if waiting:
            self._stop_hosts(waiting)
        for host in hosts:
            host.pump.join()
        return code

    def _stop_hosts(self, hosts: list[HostRun]) -> None:
        grace = self._stop.grace_seconds
        for host in hosts:
            host.run.stop(grace)

    def _check(self, code: int, hosts: list[HostRun]) -> None:
        """Raises JobFailed for an exit code that is not 0, unless we ended the run ourselves."""
        if code == 0 or self._ended_by_us():
            return
        told = next((text for text in map(_failure_text, hosts) if text), "")
        remark = next((host.run.remark for host in hosts if host.run.remark), "")
        raise JobFailed(failure_reason(". ".join(filter(None, (remark, told))), code))

    def _upload(self, hosts: list[HostRun], *, model: bool) -> None:
        """Model (always, for a job that went well) and output data (where there is any)."""
        self._enter(UPLOADING)
        if model:
            self._upload_archive("model.tar.gz", [host.workdir.model for host in hosts])
        output = [host.workdir.output_data for host in hosts]
        if any(archives.has_files(folder) for folder in output):
            self._upload_archive("output.tar.gz", output)
        self._upload_checkpoints(hosts)

    def _upload_archive(self, name: str, folders: list[Path]) -> None:
        """Hosts' trees are merged in the order of their names; a file of a later host wins
        (reference 1.8)."""
        uri = f"{self.job.output_uri}/{name}"
        archive = self._folder / name
        bucket, key = split_uri(uri)
        try:
            archives.pack(folders, archive)
            self._rooms.objects.put_file(bucket, key, archive, move=True)
        except (ServiceError, OSError) as error:
            archive.unlink(missing_ok=True)
            raise JobFailed(f"ClientError: Artifact upload failed: {uri}: {error}") from error

    def _upload_checkpoints(self, hosts: list[HostRun]) -> None:
        uri = self.job.request.get("CheckpointConfig", {}).get("S3Uri")
        if not uri:
            return
        bucket, prefix = split_uri(uri.rstrip("/") + "/")
        try:
            for host in hosts:
                for path in sorted(host.workdir.checkpoints.rglob("*")):
                    if path.is_file() and not path.is_symlink():
                        key = prefix + path.relative_to(host.workdir.checkpoints).as_posix()
                        self._rooms.objects.put_file(bucket, key, path)
        except (ServiceError, OSError) as error:
            raise JobFailed(f"ClientError: Checkpoint upload failed: {uri}: {error}") from error

    def _upload_what_is_left(self, hosts: list[HostRun]) -> None:
        """A failed job keeps its output data and checkpoints, but leaves no model."""
        if self.job.training_started is None:
            return
        for host in hosts:
            host.run.stop(0)
            host.pump.join()
        try:
            self._upload(hosts, model=False)
        except (JobFailed, DiskFull) as second:
            log.warning("%s: %s", self.job.name, second)

    def _finish(self) -> None:
        metrics = self._watch.final()
        artifacts = f"{self.job.output_uri}/model.tar.gz"
        end = COMPLETED
        if self._out_of_time:
            end = MAX_RUNTIME_EXCEEDED
        elif self._stop.event.is_set():
            end = STOPPED

        def ended(job: TrainingJob) -> TrainingJob:
            moved = job.moved_to(end, _now(), self._stop.message if end == STOPPED else None)
            return replace(moved, model_artifacts=artifacts, metrics=metrics)

        self._change(self.job.name, ended)

    # --- small things -------------------------------------------------------------------------

    def _enter(self, status: str, message: str | None = None) -> None:
        """Move the job on; a step that it has been through before our restart is not repeated,
        and a job that is Stopping goes straight to its end."""

        def moved(job: TrainingJob) -> TrainingJob:
            seen = {step.status for step in job.transitions}
            if status in seen or (job.stop_requested and status in _BEFORE_STOP):
                return job
            return job.moved_to(status, _now(), message)

        self.job = self._change(self.job.name, moved)

    def _fail(self, reason: str) -> None:
        """Failed, on a full disk too: the job's own files go first, as they are a reason why it is
        full, and then we wait for room."""
        told = False
        while True:
            try:
                self._change(self.job.name, lambda job: job.failed(reason, _now()))
                return
            except DiskFull as error:
                if not told:
                    log.error("%s waits to be marked Failed: %s", self.job.name, error)
                    told = True
            Workdir(self._folder).remove()
            if self._rooms.closing.wait(_SECONDS_BETWEEN_TRIES):
                raise JobLeft

    def _raise_if_stopped(self) -> None:
        if self._stop.event.is_set():
            raise JobStopped
        if self._rooms.closing.is_set():
            raise JobLeft

    def _ended_by_us(self) -> bool:
        return self._stop.event.is_set() or self._out_of_time

    def _clean(self, hosts: list[HostRun]) -> None:
        self._end(hosts)
        Workdir(self._folder).remove()

    def _end(self, hosts: list[HostRun]) -> None:
        """Nothing of them runs any more, and no record names them."""
        for host in hosts:
            host.run.close()
            host.pump.join()
        for record in self._rooms.runs.of(self.job.arn):
            self._rooms.runs.remove(record.id)


_NOBODY_SAW = (
    "the run ended while no emulator watched it and left no exit code (was the machine restarted?)"
)
_SECONDS_BETWEEN_TRIES = 0.5
_BEFORE_STOP = frozenset({DOWNLOADING, TRAINING_IMAGE, TRAINING})


def failure_reason(told: str, code: int) -> str:
    """AWS's text for an algorithm that failed: "AlgorithmError: <failure file>, exit code: N",
    at most 1,024 characters, of which the file has what is left (reference 1.8: forms quoted in
    the SDK's and the toolkits' issue trackers)."""
    prefix, suffix = "AlgorithmError: ", f", exit code: {code}"
    room = FAILURE_REASON_LIMIT - len(prefix) - len(suffix)
    return prefix + told.strip()[:room] + suffix


def _failure_text(host: HostRun) -> str:
    """What the failure file says; "" when there is none, or when it is no file. (A script may leave
    a pipe there, whose opening would never return.)"""
    try:
        with open(os.open(host.workdir.failure, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return file.read(4 * FAILURE_REASON_LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _now() -> datetime:
    return datetime.now(timezone.utc)
