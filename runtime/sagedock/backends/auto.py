"""Where user code runs, as the settings want it: in containers where an engine answers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sagedock.backends.base import Backend
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine, EngineUnavailable
from sagedock.backends.docker.equipment import Policy
from sagedock.backends.process import ProcessBackend
from sagedock.domain.images import ImageTable

log = logging.getLogger("sagedock")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings say of the backend."""

    home: Path
    frameworks: Path
    images: ImageTable
    backend: Literal["auto", "process", "docker"] = "auto"
    gpu: Literal["auto", "strict"] = "auto"
    gpu_sharing: bool = False
    instance_size: Literal["memory", "full", "machine"] = "memory"
    base_image: str | None = None


def choose_backend(wishes: Wishes) -> Backend:
    """The backend that was asked for; for "auto" Docker where its engine answers, else processes.
    Raises EngineUnavailable when Docker was asked for by name."""
    if wishes.backend != "process":
        try:
            policy = Policy(wishes.gpu, wishes.gpu_sharing, wishes.instance_size, wishes.base_image)
            return DockerBackend(Engine.connect(), wishes.home, wishes.images, policy)
        except EngineUnavailable as why:
            if wishes.backend == "docker":
                raise
            log.debug("No Docker engine: %s", why)
    return ProcessBackend(wishes.home, wishes.frameworks, wishes.gpu, wishes.images)
