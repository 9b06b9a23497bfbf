"""Where user code runs, as the settings want it: in containers where an engine answers."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sagedock.backends.base import Backend
from sagedock.backends.process import ProcessBackend
from sagedock.domain.images import ImageTable
from sagedock.errors import EngineUnavailable

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
            return _docker(wishes)
        except EngineUnavailable as why:
            if wishes.backend == "docker":
                raise
            # Whoever has no engine wants no news of it; whoever has one may wonder.
            log.log(logging.WARNING if why.is_there else logging.DEBUG, "%s", why)
    return ProcessBackend(wishes.home, wishes.frameworks, wishes.gpu, wishes.images)


def _docker(wishes: Wishes) -> Backend:
    """Docker's client takes a fifth of a second to import: who wants processes need not wait."""
    module = importlib.import_module("sagedock.backends.docker.backend")
    backend: Backend = module.connected(
        wishes.home,
        wishes.images,
        gpu=wishes.gpu,
        gpu_sharing=wishes.gpu_sharing,
        instance_size=wishes.instance_size,
        base_image=wishes.base_image,
    )
    return backend
