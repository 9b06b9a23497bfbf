"""Where user code runs, as the settings want it: in containers where an engine answers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from sagedock.backends.base import Backend
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine, EngineUnavailable
from sagedock.backends.process import ProcessBackend

log = logging.getLogger("sagedock")


def choose_backend(
    wanted: Literal["auto", "process", "docker"],
    home: Path,
    frameworks: Path,
    gpu: Literal["auto", "strict"],
) -> Backend:
    """The backend that was asked for; for "auto" Docker where its engine answers, else processes.
    Raises EngineUnavailable when Docker was asked for by name."""
    if wanted != "process":
        try:
            return DockerBackend(Engine.connect(), home)
        except EngineUnavailable as why:
            if wanted == "docker":
                raise
            log.debug("No Docker engine: %s", why)
    return ProcessBackend(home, frameworks, gpu)
