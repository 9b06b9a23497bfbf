"""A whole check of one target: what is read, and what is run where that is wanted."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from sagedock.check.archive import read_archive
from sagedock.check.checker import Checker, Choice
from sagedock.check.findings import Report
from sagedock.check.request import read_requests
from sagedock.check.rule import Kind
from sagedock.check.script import Script
from sagedock.check.target import Target
from sagedock.check.wanted import Wanted
from sagedock.errors import CheckError


def checked(
    wanted: Wanted,
    choice: Choice,
    frameworks: Callable[[], Path],
    tell: Callable[[str], None],
) -> Report:
    """Raises CheckError where nothing could be checked. `frameworks` names the folder of framework
    environments, and is asked only when something runs; `tell` gets its progress."""
    if wanted.is_empty:
        raise CheckError(
            "What is to be checked? Name a script or a source folder, --model, --image or "
            "--job, or declare it in sagedock.toml."
        )
    target = Target(wanted.framework_version, wanted.instance_type, tuple(wanted.channels) or None)
    checker = Checker(target, choice)
    scripts: list[Script] = []
    archive, requests = None, read_requests(wanted.jobs, wanted.operation)
    if wanted.path is not None:
        scripts = checker.scripts(wanted.path, wanted.entry_point)
    if wanted.model is not None:
        archive = read_archive(wanted.model, wanted.entry_point if wanted.path is None else None)
        checker.archive(archive)
    if requests:
        checker.requests(requests)
    if wanted.image is not None:
        # So does the engine's client.
        image = importlib.import_module("sagedock.check.image")
        image.check_image(checker, wanted, archive, requests, tell)
    if wanted.runs and (scripts or (archive and wanted.image is None)):
        # What runs user code takes a while to import, and most checks run none.
        trial = importlib.import_module("sagedock.check.trial")
        trial.Trial(checker, wanted, frameworks(), tell).run(scripts, archive, requests)
    return checker.report


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
        found.add("hosting")
    return found
