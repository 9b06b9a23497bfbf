"""Images as users bring them: an image that the engine has, and a few files of a test's."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
import tarfile
from collections.abc import Iterator
from typing import Any

from docker.errors import DockerException

from backends.stages import DockerStage
from sagedock.backends.docker.engine import Engine

_NUMBERS = itertools.count(1)


class Maker:
    """Makes images, and removes them in the end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: list[str] = []

    def image(
        self, *changes: str, base: str = DockerStage.image, **files: bytes | tuple[bytes, int]
    ) -> str:
        """The name of an image of `base` with these files in /usr/local/bin (content, or content
        and mode) and these lines of a Dockerfile."""
        client = self._engine.client
        name = f"sagedock-test/byo-{os.getpid()}:{next(_NUMBERS)}"
        box = client.containers.create(base, ["true"], network_mode="none")
        try:
            box.put_archive("/usr/local/bin", archive(**files))
            repository, _, tag = name.partition(":")
            box.commit(repository, tag, changes=list(changes) or None)
        finally:
            box.remove()
        self._made.append(name)
        return name

    def foreign(self, architecture: str) -> str:
        """An image of one small file that says it is for another architecture: a bundle whose
        configuration was written by hand, as no build of this machine's makes one."""
        name = f"sagedock-test/byo-{os.getpid()}:{next(_NUMBERS)}"
        layer = archive(train=b"#!/bin/sh\n")
        told = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": ["/train"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        parts = {
            "config.json": json.dumps(told).encode(),
            "layer.tar": layer,
            "manifest.json": json.dumps(manifest).encode(),
        }
        self._engine.client.images.load(archive(**parts))
        self._made.append(name)
        return name

    def remove_all(self) -> None:
        for name in self._made:
            with contextlib.suppress(DockerException):
                self._engine.client.images.remove(name, force=True)


@contextlib.contextmanager
def maker(engine: Engine) -> Iterator[Maker]:
    made = Maker(engine)
    try:
        yield made
    finally:
        made.remove_all()


def archive(**files: bytes | tuple[bytes, int]) -> bytes:
    """A tar; a file's mode is 755 unless it is given."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, given in files.items():
            content, mode = given if isinstance(given, tuple) else (given, 0o755)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def containers_of(stage: DockerStage) -> list[dict[str, Any]]:
    """The engine's records of what the stage's runs have on it."""
    found = stage.engine.client.api.containers(all=True, filters={"label": "sagedock.workdir"})
    below = f"{stage.folder}/"
    return [box for box in found if box["Labels"]["sagedock.workdir"].startswith(below)]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
