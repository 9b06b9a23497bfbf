"""A whole check of one target: what is read, and what is run where that is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sagedock.check.checker import Checker, Choice
from sagedock.check.findings import Report
from sagedock.check.rules.rule import Kind
from sagedock.check.target import Target
from sagedock.check.wanted import Wanted
from sagedock.errors import CheckError

if TYPE_CHECKING:
    from sagedock.check.runs.machine import Machine
    from sagedock.check.subjects.archive import Archive
    from sagedock.check.subjects.request import Request
    from sagedock.check.subjects.script import Script


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
    channels = tuple(wanted.channels) or None
    target = Target(wanted.framework_version, wanted.instance_type, channels).validated()
    checker = Checker(target, choice)
    scripts: list[Script] = []
    archive: Archive | None = None
    requests: list[Request] = []
    # Each subject takes a while to import, and most checks are of a script alone.
    if wanted.jobs:
        bodies = importlib.import_module("sagedock.check.subjects.request")
        requests = bodies.read_requests(wanted.jobs, wanted.operation)
    if wanted.path is not None:
        scripts = checker.scripts(
            wanted.path, wanted.entry_point, _submitted(target, wanted, requests)
        )
    if wanted.model is not None:
        archives = importlib.import_module("sagedock.check.subjects.archive")
        served = wanted.entry_point if wanted.path is None else None
        archive = archives.read_archive(wanted.model, served)
        checker.archive(archive)
    if requests:
        checker.requests(requests)
    if wanted.image is not None or (wanted.runs and wanted.is_docked):
        engine = importlib.import_module("sagedock.check.runs.image")
        engine.check_on_engine(checker, wanted, scripts, archive, requests, machine, tell)
    elif wanted.runs and (scripts or archive):
        place = importlib.import_module("sagedock.check.runs.place")
        trial = importlib.import_module("sagedock.check.runs.trial")
        given = place.provisions(wanted, requests)
        here = place.Processes(machine())
        trial.Trial(checker, wanted, here, given, tell).run(scripts, archive, requests)
    return checker.report


def _submitted(target: Target, wanted: Wanted, requests: Sequence[Request]) -> Target:
    """What is known of a script beyond the options: the hyperparameters that it is run with, and
    its job."""
    if wanted.hyperparameters is not None:
        target = replace(target, hyperparameters=tuple(wanted.hyperparameters))
    if not requests:
        return target
    jobs = importlib.import_module("sagedock.check.submission")
    submitted: Target = jobs.with_job(target, wanted, requests)
    return submitted


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
