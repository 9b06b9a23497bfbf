"""What lifecycles need of S3, as a protocol: store/objects.py fulfils it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


class ObjectEntry(Protocol):
    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...


class ObjectStore(Protocol):
    """Errors are ServiceErrors with S3's codes (NoSuchBucket, NoSuchKey)."""

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectEntry]: ...

    def open(self, bucket: str, key: str) -> BinaryIO: ...

    def stage(
        self, bucket: str, key: str, destination: Path, *, reader_is_ordinary_user: bool = False
    ) -> str: ...

    def link(self, bucket: str, key: str, destination: Path, at_least: int) -> bool: ...

    def put_file(
        self, bucket: str, key: str, path: Path, *, move: bool = False, content_type: str = ...
    ) -> object: ...


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key, or of https://s3.region.amazonaws.com/bucket/key, which
    the API takes as well (botocore shape S3Uri); the bucket is "" when it is neither."""
    path = ""
    if uri.startswith("s3://"):
        path = uri[len("s3://") :]
    elif uri.startswith("https://"):
        _, _, path = uri[len("https://") :].partition("/")
    bucket, _, key = path.partition("/")
    return bucket, key


@dataclass(frozen=True, slots=True)
class Staging:
    """Puts objects where a run will read them. `by_mode`: the run is an ordinary user's, so that a
    hard link's mode keeps it from writing into the object."""

    objects: ObjectStore
    by_mode: bool

    def put_below(self, bucket: str, key: str, folder: Path, relative: str) -> None:
        """Put an object at `folder`/`relative`. Raises ValueError for a key that is no path below
        the folder: in S3 `..` and empty parts are ordinary text, and a key can be another one's
        "folder"."""
        with _path_below(folder, key, relative) as target:
            self.objects.stage(bucket, key, target, reader_is_ordinary_user=self.by_mode)

    def link_below(
        self, bucket: str, key: str, folder: Path, relative: str, beside: Path, at_least: int
    ) -> Path | None:
        """For a large object that the run gets by a mount of its own: a hard link to it at
        `beside`, which must not exist, and an empty file at `folder`/`relative`, which is returned;
        None when it is smaller, or cannot be linked. Raises ValueError as `put_below` does."""
        beside.parent.mkdir(exist_ok=True)
        if not self.objects.link(bucket, key, beside, at_least):
            return None
        with _path_below(folder, key, relative) as target:
            target.touch(exist_ok=False)
            return target


@contextlib.contextmanager
def _path_below(folder: Path, key: str, relative: str) -> Iterator[Path]:
    parts = [part for part in relative.split("/") if part]
    if not parts or any(part in (".", "..") or "\0" in part for part in parts):
        raise ValueError(f"the key {key!r} is no path that a folder can hold")
    target = folder.joinpath(*parts)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            raise ValueError(f"the key {key!r} and another one are the same file for a file system")
        yield target
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"the key {key!r} is below another key, which is a file") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ValueError(f"the key {key!r} is too long for a file's name or path") from error
