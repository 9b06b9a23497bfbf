"""The GPUs that containers of an engine can use, found by asking one.

What this machine's driver says is not enough: the engine may be on another machine, we may run in
a container ourselves, and a machine with GPUs may have an engine that cannot hand them on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container

from sagedock.backends.docker.engine import Engine, explanation
from sagedock.backends.docker.gpu_request import (
    NO_DRIVER,
    PODMAN,
    TOOLKIT_MISSING,
    Way,
    all_gpus,
    ways,
    why_not,
)
from sagedock.backends.gpus import SCRIPT, Discovery, Gpu, complaint, parse

_SECONDS: Final = 60
_LAST_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class EngineGpus:
    """What runs can use, the way to ask for it, and why there is none ("" where nothing is wrong:
    there simply is no GPU)."""

    gpus: tuple[Gpu, ...] = ()
    way: Way = "nvidia"
    trouble: str = ""


def look(
    engine: Engine,
    image: str | None,
    here: Discovery,
    elsewhere: bool,
    labels: Mapping[str, str],
) -> EngineGpus:
    """GPUs for runs on `engine`. `here` is what this machine's driver said; it decides alone where
    it found nothing, unless the engine is `elsewhere`: on another machine, or outside the
    container that we run in. `image` is one to ask with; without one, `here` is believed. `labels`
    are put on the container that asks."""
    if not here.gpus and not elsewhere:
        return EngineGpus(trouble=here.trouble)
    if image is None:
        return EngineGpus(here.gpus, trouble=here.trouble)
    try:
        return ask(engine, image, labels)
    except ImageNotFound:
        return EngineGpus(here.gpus, trouble=here.trouble)


def ask(engine: Engine, image: str, labels: Mapping[str, str]) -> EngineGpus:
    """Runs nvidia-smi, which the toolkit brings along, in a short container of `image` (any that
    has `sh`) with all GPUs there are. Raises docker's ImageNotFound, nothing else."""
    if not ways(engine.facts):
        return EngineGpus(trouble=PODMAN)
    found = EngineGpus()
    for way in ways(engine.facts):
        found = _ask_by(way, engine, image, labels)
        if found.trouble != TOOLKIT_MISSING:
            return found
    return found


def _ask_by(way: Way, engine: Engine, image: str, labels: Mapping[str, str]) -> EngineGpus:
    try:
        printed = _printed(engine, image, way, labels)
    except ImageNotFound:
        raise
    except (DockerException, requests.exceptions.RequestException) as error:
        # A specification without GPUs is no news where the toolkit is missing.
        said = explanation(error)
        missing = way == "cdi" or NO_DRIVER in said
        return EngineGpus(trouble=TOOLKIT_MISSING if missing else why_not(said) or said)
    gpus = parse(printed)
    return EngineGpus(gpus, way, "" if gpus else complaint(printed))


def _printed(engine: Engine, image: str, way: Way, labels: Mapping[str, str]) -> str:
    container = engine.client.containers.create(
        image,
        entrypoint=["sh", "-c"],
        command=[SCRIPT],
        device_requests=all_gpus(engine.facts, way),
        network_mode="none",
        labels=dict(labels),
    )
    try:
        container.start()
        container.wait(timeout=_SECONDS)
        return container.logs(tail=_LAST_LINES).decode(errors="replace")
    finally:
        _remove(container)


def _remove(container: Container) -> None:
    with contextlib.suppress(DockerException, requests.exceptions.RequestException):
        container.remove(force=True, v=True)
