"""A container image, looked at; with something to run it with, trained and served as well."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from sagedock.backends.base import Tell
from sagedock.backends.docker.image_reader import connect, contents_of
from sagedock.check.archive import Archive
from sagedock.check.checker import Checker
from sagedock.check.request import Request
from sagedock.check.wanted import Wanted


def look_and_try(
    checker: Checker,
    wanted: Wanted,
    archive: Archive | None,
    requests: Sequence[Request],
    tell: Tell,
) -> None:
    """Raises CheckError where no engine answers, or it does not have the image."""
    assert wanted.image is not None
    with closing(connect()) as engine:
        image = contents_of(engine, wanted.image)
        checker.image(image)
        if wanted.runs:
            why = "not done for images yet"
            checker.skip("training", image.name, why)
            checker.skip("hosting", image.name, why)
