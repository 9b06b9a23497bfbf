"""Images of ours as one file, for machines without registry and package indexes.

A bundle is what `docker save` makes: layers that images share are in it once, and `docker load`
reads it too. It is compressed when its name ends in .gz or .tgz.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import requests
from docker.errors import DockerException

from sagedock.backends.base import Tell
from sagedock.backends.docker.builds import EngineImage, listed
from sagedock.backends.docker.engine import Engine, explanation
from sagedock.domain.families import ImageFamily
from sagedock.errors import StartupError

_CHUNK_BYTES = 1 << 20
_TOLD_EVERY_SECONDS = 2.0
_COMPRESSED = (".gz", ".tgz")
_LEVEL = 4  # of the nine: close to the best size, in a third of the time


def save(
    engine: Engine,
    families: Iterable[ImageFamily],
    path: Path,
    tell: Tell,
    *,
    only: Collection[str] = (),
) -> list[str]:
    """Write the engine's images of `families` into the file `path`, those whose tags are in `only`
    where that names any; their tags. Raises StartupError when there are none, or the file cannot be
    written; nothing is left of it then."""
    families = list(families)
    images = [image for image in listed(engine, families) if not only or image.tag in only]
    if not images:
        names = ", ".join(only or [family.name for family in families])
        raise StartupError(
            f"There is nothing to save: the engine has no image of {names}. Build one first: "
            f"sagedock images build {families[0].name if families else 'mxnet'}"
        )
    tags = [image.tag for image in images]
    expected = _size(images)
    tell(f"Saving {', '.join(tags)} to {path}")
    part = path.with_name(f"{path.name}.part")
    try:
        with _target(part, path.name.endswith(_COMPRESSED)) as file:
            _write(file, _exported(engine, tags), expected, tell)
        part.replace(path)
    except OSError as error:
        raise StartupError(
            f"{path} cannot be written: {error.strerror or error}. Name another place, with about "
            f"{expected / 1e6:.0f} MB free."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    tell(f"{path}: {path.stat().st_size / 1e6:.0f} MB. `sagedock images load` reads it.")
    return tags


def load(engine: Engine, path: Path, tell: Tell) -> list[str]:
    """Give the engine the images of the file `path`; their tags. Raises StartupError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            tell(f"Loading {path} ({size / 1e6:.0f} MB)")
            # Read as it is sent; the engine unpacks gzip itself.
            reader = cast("bytes", _Told(file, size, tell))
            loaded = engine.client.images.load(reader)
    except OSError as error:
        if isinstance(error, requests.exceptions.RequestException):
            raise StartupError(_refused(path, error)) from error
        raise StartupError(
            f"{path} cannot be read: {error.strerror or error}. Name a file that `sagedock images "
            "save` made."
        ) from error
    except DockerException as error:
        raise StartupError(_refused(path, error)) from error
    tags = sorted({tag for image in loaded for tag in image.tags})
    tell(f"Loaded {', '.join(tags) or 'images without a name'}")
    return tags


class _Told:
    """A file that tells how far it was read."""

    def __init__(self, file: IO[bytes], size: int, tell: Tell) -> None:
        self._file, self._size = file, size
        self._progress = _Progress(size, "Loaded", tell)

    def __iter__(self) -> Iterator[bytes]:
        done = 0
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk
            done += len(chunk)
            self._progress.at(done)


class _Progress:
    """A sentence every other second, and none for what is quick."""

    def __init__(self, whole: int, verb: str, tell: Tell) -> None:
        self._whole, self._verb, self._tell = max(1, whole), verb, tell
        self._next = time.monotonic() + _TOLD_EVERY_SECONDS

    def at(self, done: int) -> None:
        if done > 0 and time.monotonic() >= self._next:
            self._next = time.monotonic() + _TOLD_EVERY_SECONDS
            percent = min(99, 100 * done // self._whole)
            self._tell(f"    {self._verb} {done / 1e6:.0f} MB, about {percent} %")


def _size(images: Iterable[EngineImage]) -> int:
    return sum(image.size_bytes for image in images)


def _exported(engine: Engine, tags: list[str]) -> Iterator[bytes]:
    """docker-py exports one image at a time, and layers that two share would be in it twice."""
    api = engine.client.api
    url = f"{api.base_url}/v{api.api_version}/images/get"
    try:
        with api.get(url, params={"names": tags}, stream=True, timeout=None) as answer:
            answer.raise_for_status()
            yield from answer.iter_content(_CHUNK_BYTES)
    except requests.exceptions.RequestException as error:
        raise StartupError(
            f"The engine stopped giving {', '.join(tags)}: {explanation(error)}. Try again."
        ) from error


def _write(file: IO[bytes], chunks: Iterator[bytes], expected: int, tell: Tell) -> None:
    progress, done = _Progress(expected, "Saved", tell), 0
    for chunk in chunks:
        file.write(chunk)
        done += len(chunk)
        progress.at(done)


@contextlib.contextmanager
def _target(path: Path, compressed: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as plain:
        if not compressed:
            yield plain
            return
        with gzip.GzipFile(fileobj=plain, mode="wb", compresslevel=_LEVEL, mtime=0) as packed:
            yield cast("IO[bytes]", packed)


def _refused(path: Path, error: Exception) -> str:
    return (
        f"The engine does not take {path}: {explanation(error)}. It has to be a file of `sagedock "
        "images save` or `docker save`, whole, and the engine's disk must have room for it."
    )
