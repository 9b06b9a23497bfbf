"""Runs user code for a check, in a throw-away folder: trains it for a while, serves what came out.

Nothing of a running emulator is touched: runs have a folder, a mark and ports of their own, and
their AWS calls lead nowhere. Only the framework environments are shared, which hold nothing of a
job's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from sagedock.backends.base import Mount, Run, RunSpec, Tell
from sagedock.check.runs.place import Place
from sagedock.check.runs.watched import Watched
from sagedock.check.subjects.observations import Code, Host, Training
from sagedock.check.subjects.script import Script
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
_BUFFERING = "PYTHONUNBUFFERED"
_NO_FOLDER = Path("/nonexistent")
SOURCE = "/sagedock-check/code"
"""Where a container finds the script that is submitted to it: not in /opt/ml/code, where it only
comes by a toolkit that fetches it."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run gets. `hyperparameters` are texts, as in hyperparameters.json. Without a
    script the image brings all of its code. `is_foreign` where the script is submitted to an image
    that is not one of ours: it may know nothing of scripts."""

    script: Script | None
    image: str
    channels: Mapping[str, Path] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    instance_type: str = ""
    hosts: int = 1
    seconds: float = 120.0
    grace_seconds: float = 20.0
    resumes: bool = False
    isolated: bool = False
    is_foreign: bool = False

    @property
    def is_unbuffered(self) -> bool:
        return _BUFFERING in self.environment

    @property
    def code(self) -> Code:
        """Of an image no file is known: findings are about the image itself."""
        return Code(_NO_FOLDER, "", self.image) if self.script is None else code_of(self.script)

    def job(self, source: str) -> TrainingJob:
        """As CreateTrainingJob of the SDK would ask for it; the run finds the code at `source`."""
        own: dict[str, str | int] = (
            {}
            if self.script is None
            else {
                "sagemaker_program": self.code.entry,
                "sagemaker_submit_directory": source,
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
            "ResourceConfig": {
                "InstanceType": self.instance_type or "ml.m5.large",
                "InstanceCount": self.hosts,
            },
            "CheckpointConfig": {"S3Uri": "s3://check/checkpoints"},
        }
        arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/check"
        return TrainingJob.requested("check", arn, request, datetime.now(timezone.utc))


class Probe:
    """A throw-away folder with a backend of its own; a context manager."""

    def __init__(self, place: Place, tell: Tell) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="sagedock-check-")
        self.folder = Path(self._temporary.name).resolve()
        self.place, self.tell = place, tell
        self.backend = place.backend(self.folder)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *error: object) -> None:
        self.backend.clean(frozenset())
        Workdir(self.folder).remove()
        with contextlib.suppress(OSError):
            self._temporary.cleanup()

    def prepare(self, image: str, instance_type: str = "") -> None:
        """Raises CheckError where the image cannot be run here."""
        try:
            self.backend.check(image)
            self.backend.prepare(image, self.tell, instance_type)
        except SagedockError as error:
            raise CheckError(str(error)) from error

    def new_folder(self, name: str) -> Path:
        folder = self.folder / f"{name}-{secrets.token_hex(3)}"
        folder.mkdir(parents=True)
        return folder

    # --- training -----------------------------------------------------------------------------

    def train(self, plan: TrainingPlan) -> tuple[Training, Path]:
        """One run, and once more with its checkpoints where the plan asks for it, or without a
        buffer where all lines came together; the second value is the folder with the model of the
        first host. Raises CheckError."""
        self.prepare(plan.image, plan.instance_type)
        self.tell(f"Training {plan.code.shown}, for {plan.seconds:g} s at the most")
        root = self.new_folder("training")
        first, workdirs = self._run(plan, root, None)
        if first.has_own_image and first.lines_came_together and not plan.is_unbuffered:
            self.tell("Training once more, without a buffer for its lines")
            env = {**plan.environment, _BUFFERING: "1"}
            again, _ = self._run(replace(plan, environment=env), self.new_folder("training"), None)
            first = replace(first, unbuffered=again)
        checkpoints = workdirs[0].checkpoints
        if plan.resumes and first.went_well and any(checkpoints.rglob("*")):
            self.tell("Training once more, with the checkpoints of the first time")
            again, _ = self._run(plan, self.new_folder("training"), checkpoints)
            first = replace(first, resumed=again)
        return first, workdirs[0].model

    def _run(
        self, plan: TrainingPlan, root: Path, checkpoints: Path | None
    ) -> tuple[Training, list[Workdir]]:
        code, in_containers = root / "source" / "code", self.place.name == "docker"
        if plan.script is not None:
            copied_code(plan.script, code)
        job = plan.job(SOURCE if in_containers else f"file://{code}")
        interface = "eth0" if in_containers else "lo"
        workdirs = [training_workdir(root / host, job, host, interface) for host in job.hosts]
        for workdir in workdirs:
            for name, source in plan.channels.items():
                copy_data(source, workdir.data / name)
            if checkpoints is not None:
                shutil.copytree(checkpoints, workdir.checkpoints, dirs_exist_ok=True)
        mounts = (Mount(code, SOURCE, True),) if in_containers and code.is_dir() else ()
        before = [_files(workdir.root) for workdir in workdirs]
        specs = [
            _spec(plan, job, host, workdir, mounts)
            for host, workdir in zip(job.hosts, workdirs, strict=True)
        ]
        started = time.monotonic()
        runs: list[Run] = []
        try:
            if len(specs) > 1:
                # Or the first has ended before the last has found it by its name.
                for spec in specs:
                    self.backend.ahead(spec)
            for spec in specs:
                runs.append(self.backend.start(spec))
            watched = Watched(runs)
            watched.wait(plan.seconds, plan.grace_seconds)
            seconds = time.monotonic() - started
            lines = tuple(watched.lines)
            beside = [self.place.written(run, _is_of_the_script) for run in runs]
        except SagedockError as error:
            raise CheckError(str(error)) from error
        finally:
            for spec in specs:
                self.backend.abandon(spec.name)
            for run in runs:
                run.close()
        failure = next((text for text in map(_failure, workdirs) if text), "")
        shown = copied_names(code)
        hosts = [
            seen_host(host, workdir, earlier, shown, more if in_containers else None)
            for host, workdir, earlier, more in zip(
                job.hosts, workdirs, before, beside, strict=True
            )
        ]
        told = ". ".join(filter(None, (watched.remark, failure)))
        seen = Training(
            script=plan.code,
            code=watched.code,
            reason=failure_reason(told, watched.code) if watched.code else "",
            failure=failure,
            lines=lines,
            seconds=seconds,
            hosts=tuple(hosts),
            metrics=plan.metrics,
            stop_seconds=watched.stop_seconds,
            ignored_stop=watched.ignored_stop,
            remark=watched.remark,
            in_container=in_containers,
            isolated=plan.isolated,
            hyperparameters=dict(job.hyperparameters),
            spread_seconds=watched.spread_seconds,
            has_own_image=plan.script is None or plan.is_foreign,
            ignored_script=plan.is_foreign
            and plan.script is not None
            and not any((workdir.ml / "code" / plan.code.entry).exists() for workdir in workdirs),
        )
        return seen, workdirs


def _spec(
    plan: TrainingPlan, job: TrainingJob, host: str, workdir: Workdir, mounts: tuple[Mount, ...]
) -> RunSpec:
    return RunSpec(
        name=f"check-{host}-{secrets.token_hex(3)}",
        image=plan.image,
        command=("train",),
        workdir=workdir.root,
        mounts=(Mount(workdir.ml, "/opt/ml"), *mounts),
        env={
            **NOWHERE,
            "TRAINING_JOB_NAME": job.name,
            "TRAINING_JOB_ARN": job.arn,
            **plan.environment,
        },
        hostname=host,
        hosts=job.hosts,
    )


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
_SYSTEM = re.compile(
    r"/(opt/ml|opt/venv|sagedock-check|tmp|var|run|proc|sys|dev|etc|usr|lib)(/|$)|.*/site-packages/"
)
"""In a container: what is mounted, what a package manager writes, and where nobody looks for a
result."""


def seen_host(
    name: str,
    workdir: Workdir,
    before: Mapping[str, int],
    code: Iterable[str],
    beside: Sequence[str] | None,
) -> Host:
    """`before` are the files that were there; `beside` those that its container wrote in itself,
    None for a process, all of whose folders are in the workdir."""
    after = _files(workdir.root)
    known = {*before, *(f"ml/code/{file}" for file in code)}
    new = [file for file in after if file not in known and not file.startswith(_OWN)]
    if beside is not None:
        new = [file for file in new if file.startswith("ml/")]
        new += beside
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


def _is_of_the_script(path: str) -> bool:
    return not _SYSTEM.match(path) and not any(part in path for part in _IGNORED)


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
