"""Buckets and objects: an index in SQLite, the bytes in plain files. Knows no HTTP.

An object's bytes are in its file before its row is committed, and a file is removed only after the
commit that stops naming it; so a `kill -9` at any moment loses nothing that was acknowledged and
leaves no half object, at worst a file that the next start sweeps. Keys never become paths: `../x`,
`a//b`, `A` beside `a` and 1,024 bytes of key are all just keys.

Safe to use from any thread. Errors are S3's (object_errors.py); a full disk is InsufficientStorage.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

from sagedock.store.buckets import Buckets
from sagedock.store.database import Database
from sagedock.store.object_errors import key_too_long, lost_file, no_such_key
from sagedock.store.object_files import NewFile, ObjectFiles, Staged
from sagedock.store.object_listing import Page, list_page
from sagedock.store.object_schema import (
    MIGRATIONS,
    OBJECT_COLUMNS,
    Bucket,
    Details,
    ObjectRecord,
    next_opening,
    object_from,
    require_bucket,
    time_from,
    transaction,
)

MAX_KEY_BYTES = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""

Condition = Callable[["ObjectRecord | None"], None]
"""Looks at what a write would replace (None: nothing) and raises to forbid the write."""

_PAGE = 1000
_HASH_STEP = 1 << 20
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Content:
    """A finished file of this store and what goes with it, not yet an object."""

    file: str
    size: int
    etag: str
    details: Details = field(default_factory=Details)


class Objects:
    """All buckets and objects of one home."""

    def __init__(self, root: Path, database: Database) -> None:
        self.database = database
        self.buckets = Buckets(database)
        self.files = ObjectFiles(root, next_opening(database))
        self._sweep()

    @classmethod
    def at(cls, home: Path) -> Objects:
        """The objects of a home: its `objects.db` and its folder `objects`."""
        return cls(home / "objects", Database(home / "objects.db", MIGRATIONS))

    def close(self) -> None:
        self.database.close()

    def create_bucket(self, bucket: str, region: str = "us-east-1") -> Bucket:
        """The bucket, created if it was not there. Raises InvalidBucketName."""
        return self.buckets.ensure(bucket, region)

    def delete_bucket(self, bucket: str) -> None:
        """Raises NoSuchBucket and BucketNotEmpty."""
        self.files.remove(self.buckets.delete(bucket))

    # Reading

    def get(self, bucket: str, key: str) -> ObjectRecord:
        """Raises NoSuchBucket and NoSuchKey."""
        connection = self.database.read()
        record = find_object(connection, bucket, key)
        if record is None:
            require_bucket(connection, bucket)
            raise no_such_key(key)
        return record

    def exists_under(self, bucket: str, prefix: str) -> bool:
        """Whether any key starts with `prefix`. Raises NoSuchBucket."""
        return next(self.list(bucket, prefix), None) is not None

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectRecord]:
        """Objects whose key starts with `prefix`, by the UTF-8 bytes of their keys. Raises
        NoSuchBucket, at the first one."""
        after = ""
        while True:
            page = self.page(bucket, prefix=prefix, after=after, limit=_PAGE)
            yield from page.objects
            if page.next_after is None:
                return
            after = page.next_after

    def page(
        self, bucket: str, *, prefix: str, after: str, limit: int, delimiter: str = ""
    ) -> Page:
        """One page of a listing, see `object_listing.list_page`. Raises NoSuchBucket."""
        connection = self.database.read()
        require_bucket(connection, bucket)
        return list_page(connection, bucket, prefix, after, limit, delimiter)

    def open(self, bucket: str, key: str) -> BinaryIO:
        """The bytes; they stay readable while open, whatever becomes of the object."""
        return self.open_record(bucket, key)[1]

    def open_record(self, bucket: str, key: str) -> tuple[ObjectRecord, BinaryIO]:
        """Record and bytes that belong together. Raises NoSuchBucket and NoSuchKey."""
        return self.with_file(bucket, key, lambda record: self.files.open(record.file))

    def read_bytes(self, bucket: str, key: str) -> bytes:
        with self.open(bucket, key) as file:
            return file.read()

    def path(self, bucket: str, key: str) -> Path:
        """Where the bytes are now. For reading at once only: the next write of that key removes
        the file. Raises NoSuchBucket and NoSuchKey."""
        return self.files.path(self.get(bucket, key).file)

    def stage(
        self, bucket: str, key: str, destination: Path, *, reader_is_ordinary_user: bool = False
    ) -> Staged:
        """Put the object's bytes at `destination` without copying where that is safe.

        `reader_is_ordinary_user`: what reads the file runs without root's powers, so that a hard
        link's mode protects the object (see object_files.py). The folder must exist, the file must
        not. Returns how it was done; raises NoSuchBucket, NoSuchKey, InsufficientStorage.
        """

        def stage(record: ObjectRecord) -> Staged:
            return self.files.stage(
                record.file, destination, reader_is_ordinary_user=reader_is_ordinary_user
            )

        return self.with_file(bucket, key, stage)[1]

    def link(self, bucket: str, key: str, destination: Path, at_least: int) -> bool:
        """A hard link at `destination` for a reader who cannot write by it (a read-only mount);
        False for an object of fewer bytes than `at_least`, and where the file system has no links.
        Raises NoSuchBucket and NoSuchKey."""

        def link(record: ObjectRecord) -> bool:
            return record.size >= at_least and self.files.link(record.file, destination)

        return self.with_file(bucket, key, link)[1]

    def with_file(
        self, bucket: str, key: str, use: Callable[[ObjectRecord], _Result]
    ) -> tuple[ObjectRecord, _Result]:
        """The record, and what `use` makes of it and its file; once more if the object is
        overwritten just then. Raises NoSuchBucket and NoSuchKey."""
        record = self.get(bucket, key)
        while True:
            try:
                return record, use(record)
            except FileNotFoundError:
                newer = self.get(bucket, key)
                if newer.file == record.file and not self.files.path(record.file).exists():
                    raise lost_file(key) from None
                if newer.file == record.file:
                    raise
                record = newer

    # Writing

    def new_file(self) -> NewFile:
        """An empty file to write an object's bytes to; then `commit` it, or `discard` it."""
        return self.files.new()

    def commit(
        self, bucket: str, key: str, content: Content, condition: Condition | None = None
    ) -> ObjectRecord:
        """Make `content` the object `key`; where that fails its file is removed.

        Raises NoSuchBucket, KeyTooLongError and whatever `condition` raises.
        """
        try:
            check_key(key)
            with transaction(self.database) as connection:
                require_bucket(connection, bucket)
                record, replaced = put_row(connection, bucket, key, content, condition)
        except BaseException:
            self.files.remove([content.file])
            raise
        self.files.remove(replaced)
        return record

    def put_bytes(
        self, bucket: str, key: str, data: bytes, *, content_type: str = "binary/octet-stream"
    ) -> ObjectRecord:
        """Raises NoSuchBucket, KeyTooLongError, InsufficientStorage."""
        file = self.new_file()
        try:
            file.write(data)
            file.close()
        except BaseException:
            file.discard()
            raise
        details = Details(system={"ContentType": content_type})
        content = Content(file.name, len(data), hashlib.md5(data).hexdigest(), details)
        return self.commit(bucket, key, content)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        move: bool = False,
        content_type: str = "binary/octet-stream",
    ) -> ObjectRecord:
        """Store a file. With `move` it is taken in without a copy where home and file share a
        disk, and is gone afterwards; nobody may still be writing to it. Raises NoSuchBucket,
        KeyTooLongError, InsufficientStorage, OSError for an unreadable `path`."""
        self.buckets.get(bucket)
        check_key(key)
        name = self.files.adopt(path, move=move)
        with self.files.open(name) as file:
            digest, size = hashlib.md5(), 0
            while data := file.read(_HASH_STEP):
                digest.update(data)
                size += len(data)
        details = Details(system={"ContentType": content_type})
        return self.commit(bucket, key, Content(name, size, digest.hexdigest(), details))

    def change_tags(self, bucket: str, key: str, tags: dict[str, str]) -> None:
        """Replace an object's tags. Raises NoSuchBucket and NoSuchKey."""
        with transaction(self.database) as connection:
            require_bucket(connection, bucket)
            record = find_object(connection, bucket, key)
            if record is None:
                raise no_such_key(key)
            connection.execute(
                "UPDATE objects SET details = ? WHERE bucket = ? AND key = ?",
                (replace(record.details, tags=tags).as_json(), bucket, key),
            )

    def delete(self, bucket: str, keys: Iterable[str], condition: Condition | None = None) -> None:
        """Remove objects; a key that is not there is no error. Raises NoSuchBucket and whatever
        `condition` raises, and then nothing is removed."""
        removed: list[str] = []
        with transaction(self.database) as connection:
            require_bucket(connection, bucket)
            for key in keys:
                if condition is not None:
                    condition(find_object(connection, bucket, key))
                rows = connection.execute(
                    "DELETE FROM objects WHERE bucket = ? AND key = ? RETURNING file", (bucket, key)
                )
                removed += [file for (file,) in rows.fetchall()]
        self.files.remove(removed)

    def _sweep(self) -> None:
        rows = self.database.read().execute("SELECT file FROM objects UNION SELECT file FROM parts")
        kept = {file for (file,) in rows}
        self.files.sweep(kept.__contains__)


def check_key(key: str) -> None:
    """Raises KeyTooLongError."""
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode("utf-8")) > MAX_KEY_BYTES:
        raise key_too_long(key, MAX_KEY_BYTES)


def find_object(connection: sqlite3.Connection, bucket: str, key: str) -> ObjectRecord | None:
    row = connection.execute(
        f"SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key = ?", (bucket, key)
    ).fetchone()
    return None if row is None else object_from(row)


def put_row(
    connection: sqlite3.Connection,
    bucket: str,
    key: str,
    content: Content,
    condition: Condition | None,
) -> tuple[ObjectRecord, list[str]]:
    """Write the row inside a transaction; the record, and the files to remove after the commit."""
    old = find_object(connection, bucket, key)
    if condition is not None:
        condition(old)
    now = time.time()
    connection.execute(
        f"INSERT OR REPLACE INTO objects ({OBJECT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (bucket, key, content.file, content.size, content.etag, now, content.details.as_json()),
    )
    record = ObjectRecord(
        bucket, key, content.file, content.size, content.etag, time_from(now), content.details
    )
    return record, [old.file] if old is not None else []
