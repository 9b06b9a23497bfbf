"""The tables behind S3, and the rows as records. Kept in a file of its own, `<home>/objects.db`."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from sagedock.store.database import Database, DiskFull
from sagedock.store.object_errors import no_room, no_such_bucket

MIGRATIONS = [
    """
    CREATE TABLE openings (count INTEGER NOT NULL);
    INSERT INTO openings VALUES (0);

    CREATE TABLE buckets (
        name TEXT PRIMARY KEY,
        region TEXT NOT NULL,
        created REAL NOT NULL,
        tags TEXT NOT NULL DEFAULT '{}'
    ) WITHOUT ROWID;

    CREATE TABLE objects (
        bucket TEXT NOT NULL REFERENCES buckets (name),
        key TEXT NOT NULL,
        file TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified REAL NOT NULL,
        details TEXT NOT NULL,
        PRIMARY KEY (bucket, key)
    ) WITHOUT ROWID;

    CREATE TABLE uploads (
        id TEXT PRIMARY KEY,
        bucket TEXT NOT NULL REFERENCES buckets (name),
        key TEXT NOT NULL,
        initiated REAL NOT NULL,
        details TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX uploads_by_key ON uploads (bucket, key, id);

    CREATE TABLE parts (
        upload TEXT NOT NULL REFERENCES uploads (id),
        number INTEGER NOT NULL,
        file TEXT NOT NULL,
        size INTEGER NOT NULL,
        etag TEXT NOT NULL,
        modified REAL NOT NULL,
        checksum TEXT,
        PRIMARY KEY (upload, number)
    ) WITHOUT ROWID;
    """
]


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    region: str
    created: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Details:
    """What an object carries beside its bytes.

    `system` holds the headers that S3 gives back as they came, by their names in the API
    (ContentType, CacheControl, …), `metadata` the user's own. `checksums` are by S3's member name
    (ChecksumCRC32, … and ChecksumType); `part_sizes` is empty unless the object came in parts.
    """

    system: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    part_sizes: tuple[int, ...] = ()

    def as_json(self) -> str:
        full = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({name: value for name, value in full.items() if value})

    @classmethod
    def from_json(cls, text: str) -> Details:
        values = json.loads(text)
        if "part_sizes" in values:
            values["part_sizes"] = tuple(values["part_sizes"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """An object as the index knows it. `etag` has no quotes, `size` is in bytes."""

    bucket: str
    key: str
    file: str
    size: int
    etag: str
    modified: datetime
    details: Details


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that is neither completed nor aborted."""

    id: str
    bucket: str
    key: str
    initiated: datetime
    details: Details
    checksum_algorithm: str | None
    checksum_type: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part; `checksum` is base64, by the upload's algorithm."""

    number: int
    file: str
    size: int
    etag: str
    modified: datetime
    checksum: str | None


OBJECT_COLUMNS = "bucket, key, file, size, etag, modified, details"


def object_from(row: sqlite3.Row) -> ObjectRecord:
    bucket, key, file, size, etag, modified, details = row
    return ObjectRecord(
        bucket, key, file, size, etag, time_from(modified), Details.from_json(details)
    )


def time_from(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, timezone.utc)


def next_opening(database: Database) -> int:
    """How often the store was opened, this time included."""
    with database.write() as connection:
        connection.execute("UPDATE openings SET count = count + 1")
        (count,) = connection.execute("SELECT count FROM openings").fetchone()
    return int(count)


def require_bucket(connection: sqlite3.Connection, bucket: str) -> None:
    """Raises NoSuchBucket (404)."""
    if not connection.execute("SELECT 1 FROM buckets WHERE name = ?", (bucket,)).fetchone():
        raise no_such_bucket(bucket)


@contextmanager
def transaction(database: Database) -> Iterator[sqlite3.Connection]:
    """`database.write()`; a full disk is InsufficientStorage (507)."""
    try:
        with database.write() as connection:
            yield connection
    except DiskFull as error:
        raise no_room(error.__cause__ or error) from error
