"""Reads an image of an engine for `sagedock check`: its record, and the programs in it.

Files of an image can only be read from a container. One is created, never started, and removed.
"""

from __future__ import annotations

import contextlib
import posixpath

import requests
from docker.errors import DockerException

from sagedock.backends.docker import labels
from sagedock.backends.docker.engine import INSTEAD, Engine, explanation
from sagedock.backends.docker.image_contents import ImageContents, Problem, script_of, wrapped
from sagedock.backends.docker.local_images import LocalImage, local_image, record_of
from sagedock.backends.docker.programs import is_file, problem_of
from sagedock.backends.gpus import discover
from sagedock.errors import CheckError, EngineUnavailable, RunFailedToStart

_MOUNTED = "/opt/ml/"


def connect() -> Engine:
    """The user's engine. Raises CheckError, with a way out."""
    try:
        return Engine.connect()
    except EngineUnavailable as error:
        raise CheckError(str(error).replace(INSTEAD, "")) from error


def contents_of(engine: Engine, name: str) -> ImageContents:
    """Raises CheckError where the engine has no such image, or does not let us look."""
    try:
        record = record_of(engine, name)
    except RunFailedToStart as error:
        raise CheckError(str(error)) from error
    if record is None:
        raise CheckError(
            f"The Docker engine has no image {name!r}. Fetch or build it: `docker pull {name}`, or "
            f"`docker build -t {name} .`."
        )
    image, config = local_image(name, record), record.get("Config") or {}
    try:
        programs, in_workdir = _programs(engine, image)
    except (DockerException, requests.exceptions.RequestException) as error:
        raise CheckError(
            f"The image {name} cannot be looked into: {explanation(error)}."
        ) from error
    return ImageContents(
        name=name,
        architecture=image.architecture,
        machine=engine.facts.architecture,
        entrypoint=image.entrypoint,
        command=tuple(config.get("Cmd") or ()),
        user=config.get("User") or "",
        workdir=image.workdir or "/",
        ports=tuple(sorted(config.get("ExposedPorts") or ())),
        gpu_architectures=image.gpu_architectures,
        gpus=() if engine.is_remote else discover().gpus,
        programs=programs,
        in_workdir=in_workdir,
    )


def _programs(
    engine: Engine, image: LocalImage
) -> tuple[dict[str, Problem | None], frozenset[str]]:
    container = engine.client.containers.create(
        image.id, ["train"], network_mode="none", labels={labels.CHECK: image.name}
    )
    try:
        box, machine = str(container.id), image.architecture or engine.facts.architecture
        found: dict[str, Problem | None] = {}
        entry = wrapped(image.entrypoint)
        for word in entry[:1] or ("train", "serve"):
            if not word.startswith(_MOUNTED):
                found[word] = problem_of(engine, box, image, word, machine)
        script = script_of(entry)
        if script:
            path = posixpath.normpath(posixpath.join("/", image.workdir, script))
            if not path.startswith(_MOUNTED) and not is_file(engine, box, path):
                found[path] = Problem("missing", path, f"{path}: no such file or directory")
        beside = (posixpath.join("/", image.workdir, word) for word in ("train", "serve"))
        return found, frozenset(
            posixpath.basename(path) for path in beside if is_file(engine, box, path)
        )
    finally:
        with contextlib.suppress(DockerException, requests.exceptions.RequestException):
            container.remove(force=True, v=True)
