"""What each family's environment is made of: pinned requirements, and the name that follows."""

from __future__ import annotations

import functools
import hashlib
import platform

from sagedock.backends.container_files import folder_of
from sagedock.domain.families import ImageFamily
from sagedock.errors import RunFailedToStart

LAYOUT = 1
"""Raised when environments built by an earlier sagedock no longer do."""


def requirements(family: ImageFamily, python: str) -> list[str]:
    """The pins of a family's environment on that Python."""
    lines = (line.strip() for line in _text(family, python).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@functools.cache
def environment_name(family: ImageFamily, python: str) -> str:
    """Another one for other pins."""
    digest = hashlib.sha256(f"{LAYOUT}\n{_text(family, python)}".encode())
    return f"{family.name}-py{python}-{digest.hexdigest()[:12]}"


def raise_without_environment(family: ImageFamily) -> None:
    """For a family that the process backend cannot have, here or anywhere."""
    environment = family.environment
    if not environment.requirements:
        raise RunFailedToStart(
            f"The family {family.name} has no environment in its table, so only the Docker backend "
            f"runs it. Give it [family.{family.name}.environment] with requirements, or start with "
            "--backend docker."
        )
    here = f"{platform.system()} {platform.machine()}"
    if environment.platforms and here not in environment.platforms:
        system, _, machine = here.partition(" ")
        raise RunFailedToStart(
            f"{family.name} {family.release} was never published for {system} on {machine}, so it "
            f"cannot run here. Its packages exist for {', '.join(environment.platforms)}: run "
            "sagedock there, in a virtual machine for example, or with --backend docker."
        )


@functools.cache
def _text(family: ImageFamily, python: str) -> str:
    name = dict(family.environment.requirements)[python]
    try:
        return (folder_of(family) / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFailedToStart(
            f"The requirements of the family {family.name} cannot be read: {error}."
        ) from error
