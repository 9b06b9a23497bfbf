"""Runs user code for a check, in a throw-away folder: trains it for a while, serves what came out.

Nothing of a running emulator is touched: runs have a folder, a mark and ports of their own, and
their AWS calls lead nowhere. Only the framework environments are shared, which hold nothing of a
job's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from sagedock.backends.base import Backend, Mount, Run, RunSpec, Tell
from sagedock.check.observations import Code, Host, Training
from sagedock.check.script import Script
from sagedock.domain.training import TrainingJob
from sagedock.errors import CheckError, SagedockError
from sagedock.lifecycle.training_run import failure_reason
from sagedock.lifecycle.workdir import Workdir, training_workdir

NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # the port "discard": refused at once
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "sagedock",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""A run's AWS calls end here: neither in an account nor in an emulator."""

_NOT_CODE = shutil.ignore_patterns(
    "__pycache__", ".*", "*.egg-info", "venv", "node_modules", "*.tar.gz"
)
_CHECKPOINTS = "checkpoints"
_NO_FOLDER = Path("/nonexistent")


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run gets. `hyperparameters` are texts, as in hyperparameters.json. Without a
    script the image brings all of its code."""

    script: Script | None
    image: str
    channels: Mapping[str, Path] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = "ml.m5.large"
    hosts: int = 1
    seconds: float = 120.0
    grace_seconds: float = 20.0
    resumes: bool = False

    @property
    def code(self) -> Code:
        """Of an image no file is known: findings are about the image itself."""
        return Code(_NO_FOLDER, "", self.image) if self.script is None else code_of(self.script)

    def job(self, folder: Path) -> TrainingJob:
        """As CreateTrainingJob of the SDK would ask for it; the code lies in `folder`."""
        own: dict[str, str | int] = (
            {}
            if self.script is None
            else {
                "sagemaker_program": self.code.entry,
                "sagemaker_submit_directory": f"file://{folder}",
                "sagemaker_region": "us-east-1",
                "sagemaker_job_name": "check",
                "sagemaker_container_log_level": 20,
            }
        )
        request = {
            "AlgorithmSpecification": {"TrainingImage": self.image, "TrainingInputMode": "File"},
            "HyperParameters": {
                **{name: json.dumps(value) for name, value in own.items()},
                **{k: v for k, v in self.hyperparameters.items() if k not in own},
            },
            "InputDataConfig": [{"ChannelName": name} for name in self.channels],
            "ResourceConfig": {"InstanceType": self.instance_type, "InstanceCount": self.hosts},
            "CheckpointConfig": {"S3Uri": "s3://check/checkpoints"},
        }
        arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/check"
        return TrainingJob.requested("check", arn, request, datetime.now(timezone.utc))


class Probe:
    """A throw-away folder with a backend of its own; a context manager. `new_backend` makes it for
    that folder."""

    def __init__(self, new_backend: Callable[[Path], Backend], tell: Tell) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sagedock-check-")
        self.folder = Path(self._temporary.name).resolve()
        self.backend = new_backend(self.folder)
        self.tell = tell

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        self.backend.clean(frozenset())
        Workdir(self.folder).remove()
        with contextlib.suppress(OSError):
            self._temporary.cleanup()

    def prepare(self, image: str) -> None:
        """Raises CheckError where the image cannot be run here."""
        try:
            self.backend.check(image)
            self.backend.prepare(image, self.tell)
        except SagedockError as error:
            raise CheckError(str(error)) from error

    def new_folder(self, name: str) -> Path:
        folder = self.folder / f"{name}-{secrets.token_hex(3)}"
        folder.mkdir(parents=True)
        return folder

    # --- training -----------------------------------------------------------------------------

    def train(self, plan: TrainingPlan) -> tuple[Training, Path]:
        """One run, and once more with its checkpoints where the plan asks for it; the second
        value is the folder with the model of the first host. Raises CheckError."""
        self.prepare(plan.image)
        root = self.new_folder("training")
        first, workdirs = self._run(plan, root, None)
        checkpoints = workdirs[0].checkpoints
        if plan.resumes and first.went_well and any(checkpoints.rglob("*")):
            again, _ = self._run(plan, self.new_folder("training"), checkpoints)
            first = replace(first, resumed=again)
        return first, workdirs[0].model

    def _run(
        self, plan: TrainingPlan, root: Path, checkpoints: Path | None
    ) -> tuple[Training, list[Workdir]]:
        code = root / "source" / "code"
        if plan.script is not None:
            copied_code(plan.script, code)
        job = plan.job(code)
        workdirs = [training_workdir(root / host, job, host, "lo") for host in job.hosts]
        for workdir in workdirs:
            for name, source in plan.channels.items():
                copy_data(source, workdir.data / name)
            if checkpoints is not None:
                shutil.copytree(checkpoints, workdir.checkpoints, dirs_exist_ok=True)
        before = [_files(workdir.root) for workdir in workdirs]
        started = time.monotonic()
        runs: list[Run] = []
        try:
            for host, workdir in zip(job.hosts, workdirs, strict=True):
                runs.append(self._start(plan, job, host, workdir))
            watched = _Watched(runs)
            watched.wait(plan.seconds, plan.grace_seconds)
            lines = tuple(watched.lines)
        except SagedockError as error:
            raise CheckError(str(error)) from error
        finally:
            for run in runs:
                run.close()
        failure = next((text for text in map(_failure, workdirs) if text), "")
        hosts = [
            _host(host, workdir, earlier, copied_names(code))
            for host, workdir, earlier in zip(job.hosts, workdirs, before, strict=True)
        ]
        seen = Training(
            script=plan.code,
            code=watched.code,
            reason=failure_reason(failure, watched.code) if watched.code else "",
            failure=failure,
            lines=lines,
            seconds=time.monotonic() - started,
            hosts=tuple(hosts),
            metrics=plan.metrics,
            stop_seconds=watched.stop_seconds,
            ignored_stop=watched.ignored_stop,
        )
        return seen, workdirs

    def _start(self, plan: TrainingPlan, job: TrainingJob, host: str, workdir: Workdir) -> Run:
        spec = RunSpec(
            name=f"check-{host}-{secrets.token_hex(3)}",
            image=plan.image,
            command=("train",),
            workdir=workdir.root,
            mounts=(Mount(workdir.ml, "/opt/ml"),),
            env={
                **NOWHERE,
                "TRAINING_JOB_NAME": job.name,
                "TRAINING_JOB_ARN": job.arn,
                **plan.environment,
            },
            hostname=host,
            hosts=job.hosts,
        )
        return self.backend.start(spec)


def _lines(run: Run) -> list[str]:
    return [line.text for line in run.lines()]


class _Watched:
    """Runs of one job until all have ended, one has failed, or the time is over."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self.code: int | None = None
        self.stop_seconds: float | None = None
        self.ignored_stop = False
        self._pool = ThreadPoolExecutor(len(runs))
        self._logs = [self._pool.submit(_lines, run) for run in runs]

    def wait(self, seconds: float, grace_seconds: float) -> None:
        end = time.monotonic() + seconds
        codes: list[int | None] = [None] * len(self._runs)
        while time.monotonic() < end and None in codes and not any(codes):
            codes = [run.wait(0.05) for run in self._runs]
        failed = [code for code in codes if code]
        if failed or None not in codes:
            self.code = failed[0] if failed else 0
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
            yield from log.result()
        self._pool.shutdown()


def code_of(script: Script) -> Code:
    entry = script.entry.path.relative_to(script.root).as_posix()
    return Code(script.root, entry, script.entry.file)


def copied_code(script: Script, folder: Path) -> Path:
    """What the SDK would pack: the source folder; of a single file, it and what it imports."""
    if script.is_folder:
        shutil.copytree(script.root, folder, ignore=_NOT_CODE)
        return folder
    for module in script.modules:
        place = folder / module.path.relative_to(script.root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module.path, place)
    return folder


def copied_names(folder: Path) -> frozenset[str]:
    return frozenset(_files(folder))


def copy_data(source: Path, folder: Path) -> None:
    """A channel's file or folder; a copy, for a script may write into its channel."""
    folder.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        shutil.copy(source, folder)


def _files(folder: Path) -> dict[str, int]:
    """Size of each file by its path below the folder; links are not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() or path.is_symlink():
            with contextlib.suppress(OSError):
                found[path.relative_to(folder).as_posix()] = path.lstat().st_size
    return found


_OWN = ("run/output.log", "run/exit-code", "run/packages/", "run/tmp/", "ml/output/success")
_DELIVERED = ("ml/model/", "ml/output/", "ml/checkpoints/", "ml/input/config/")
_IGNORED = ("__pycache__/", ".cache/", "/.mxnet/", ".egg-info/", ".config/", ".pyc")


def _host(name: str, workdir: Workdir, before: Mapping[str, int], code: Iterable[str]) -> Host:
    after = _files(workdir.root)
    known = {*before, *(f"ml/code/{file}" for file in code)}
    new = [file for file in after if file not in known and not file.startswith(_OWN)]
    elsewhere = [
        _as_in_container(file)
        for file in new
        if not file.startswith(_DELIVERED) and not any(part in file for part in _IGNORED)
    ]
    model = _files(workdir.model)
    return Host(
        name=name,
        model=model,
        output=_files(workdir.output_data),
        elsewhere=tuple(elsewhere),
        checkpoints=_files(workdir.checkpoints),
        digests={file: _digest(workdir.model / file) for file in model},
    )


def _as_in_container(file: str) -> str:
    """A path below the workdir as the run's own container has it."""
    for ours, theirs in (("ml/", "/opt/ml/"), ("run/home/", "~/")):
        if file.startswith(ours):
            return f"{theirs}{file[len(ours) :]}"
    return file


def _digest(file: Path) -> str:
    with contextlib.suppress(OSError):
        return hashlib.sha256(file.read_bytes()).hexdigest()
    return ""


def _failure(workdir: Workdir) -> str:
    try:
        return workdir.failure.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
