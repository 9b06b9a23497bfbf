"""What lifecycles need of S3, as a protocol: store/objects.py fulfils it."""

from __future__ import annotations

import os
from collections.abc import Iterator
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

    def put_file(
        self, bucket: str, key: str, path: Path, *, move: bool = False, content_type: str = ...
    ) -> object: ...


def stage(objects: ObjectStore, bucket: str, key: str, destination: Path) -> None:
    """Put an object where a run will read it. Runs are this user's own processes: unless that is
    root, a hard link's mode keeps them from writing into the object."""
    objects.stage(bucket, key, destination, reader_is_ordinary_user=os.geteuid() != 0)


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of s3://bucket/key; the bucket is "" when it is no S3 URI."""
    if not uri.startswith("s3://"):
        return "", uri
    bucket, _, key = uri[len("s3://") :].partition("/")
    return bucket, key
