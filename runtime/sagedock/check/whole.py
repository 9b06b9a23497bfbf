"""A whole check of one target: what is read, and what is run where that is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sagedock.check.checker import Checker, Choice
from sagedock.check.findings import Report
from sagedock.check.rules.rule import Kind
from sagedock.check.runs.machine import Machine
from sagedock.check.subjects.archive import read_archive
from sagedock.check.subjects.request import Request, read_requests
from sagedock.check.subjects.script import DEFAULT_ENTRY_POINT, Script
from sagedock.check.target import Target
from sagedock.check.wanted import Wanted
from sagedock.domain.images import MXNET, ImageReference
from sagedock.errors import CheckError


def checked(
    wanted: Wanted,
    choice: Choice,
    machine: Callable[[], Machine],
    tell: Callable[[str], None],
) -> Report:
    """Raises CheckError where nothing could be checked. `machine` is asked only when something
    runs; `tell` gets its progress."""
    if wanted.is_empty:
        raise CheckError(
            "What is to be checked? Name a script or a source folder, --model, --image or "
            "--job, or declare it in sagedock.toml."
        )
    if wanted.image is not None and wanted.runs and wanted.backend == "process":
        raise CheckError("An image runs in containers alone: leave --backend process away.")
    target = Target(wanted.framework_version, wanted.instance_type, tuple(wanted.channels) or None)
    checker = Checker(target, choice)
    scripts: list[Script] = []
    archive, requests = None, read_requests(wanted.jobs, wanted.operation)
    if wanted.path is not None:
        submitted = with_job(target, wanted, requests)
        scripts = checker.scripts(wanted.path, wanted.entry_point, submitted)
    if wanted.model is not None:
        archive = read_archive(wanted.model, wanted.entry_point if wanted.path is None else None)
        checker.archive(archive)
    if requests:
        checker.requests(requests)
    if wanted.image is not None or (wanted.runs and wanted.is_docked):
        # So does the engine's client.
        engine = importlib.import_module("sagedock.check.runs.image")
        engine.check_on_engine(checker, wanted, scripts, archive, requests, machine, tell)
    elif wanted.runs and (scripts or archive):
        # What runs user code takes a while to import, and most checks run none.
        place = importlib.import_module("sagedock.check.runs.place")
        trial = importlib.import_module("sagedock.check.runs.trial")
        given = place.provisions(wanted, requests)
        here = place.Processes(machine())
        trial.Trial(checker, wanted, here, given, tell).run(scripts, archive, requests)
    return checker.report


def with_job(target: Target, wanted: Wanted, requests: Sequence[Request]) -> Target:
    """What is known of a script beyond the options: the hyperparameters that it is run with; and
    where one of the requests is for its job the image, the instances and the channels of that."""
    if wanted.hyperparameters is not None:
        target = replace(target, hyperparameters=tuple(wanted.hyperparameters))
    jobs = [one for one in requests if one.operation == "CreateTrainingJob"]
    if len(jobs) != 1 or not _runs(jobs[0], wanted):
        return target
    (job,) = jobs
    image = ImageReference.parse(str(job.get("AlgorithmSpecification", "TrainingImage")))
    version = image.version if image.framework == MXNET.name else None
    instance = str(job.get("ResourceConfig", "InstanceType", default=""))
    channels = job.get("InputDataConfig", default=[])
    named = tuple(c["ChannelName"] for c in channels if "ChannelName" in c)
    passed = job.get("HyperParameters", default={})
    return replace(
        target,
        framework_version=target.framework_version or version,
        instance_type=target.instance_type or (instance if instance.count(".") == 2 else None),
        channels=named if target.channels is None else target.channels,
        hyperparameters=target.hyperparameters or tuple(passed),
    )


def _runs(job: Request, wanted: Wanted) -> bool:
    """Whether the job is the script's: the one that it names, where it names one."""
    assert wanted.path is not None
    program = str(job.get("HyperParameters", "sagemaker_program", default="")).strip('"')
    entry = wanted.entry_point if wanted.path.is_dir() else wanted.path.name
    return not program or Path(program) == Path(entry or DEFAULT_ENTRY_POINT)


def kinds(wanted: Wanted) -> set[Kind]:
    """Kinds of rules that look at this target."""
    found: set[Kind] = set()
    if wanted.path is not None:
        found.add("script")
    if wanted.model is not None:
        found.add("artifact")
    if wanted.image is not None:
        found.add("image")
    if wanted.jobs:
        found.add("request")
    if wanted.runs and (wanted.path or wanted.image) and wanted.model is None:
        found.add("training")
    if wanted.runs and (wanted.path or wanted.image or wanted.model):
        found.add("isolation")
    if wanted.runs and (wanted.path or wanted.image or wanted.model):
        found.add("hosting")
    return found
