"""The buckets of a home."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Mapping

from sagedock.store.database import Database
from sagedock.store.object_errors import (
    bucket_not_empty,
    bucket_owned_by_you,
    invalid_bucket_name,
    no_such_bucket,
)
from sagedock.store.object_schema import Bucket, require_bucket, time_from, transaction

_NAME = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""


class Buckets:
    """Names, times and tags of buckets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, region: str) -> Bucket:
        """Raises InvalidBucketName and BucketAlreadyOwnedByYou."""
        bucket, added = self._add(name, region)
        if not added:
            raise bucket_owned_by_you(name)
        return bucket

    def ensure(self, name: str, region: str) -> Bucket:
        """The bucket, created if it was not there. Raises InvalidBucketName."""
        return self._add(name, region)[0]

    def get(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        row = self._rows("WHERE name = ?", name).fetchone()
        if row is None:
            raise no_such_bucket(name)
        return _bucket(row)

    def all(self) -> list[Bucket]:
        """Every bucket, by name."""
        return [_bucket(row) for row in self._rows("ORDER BY name")]

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace the bucket's tags. Raises NoSuchBucket."""
        with transaction(self._database) as connection:
            require_bucket(connection, name)
            connection.execute(
                "UPDATE buckets SET tags = ? WHERE name = ?", (json.dumps(dict(tags)), name)
            )

    def delete(self, name: str) -> list[str]:
        """Remove an empty bucket with its unfinished uploads, and return the files of their
        parts. Raises NoSuchBucket and BucketNotEmpty."""
        with transaction(self._database) as connection:
            require_bucket(connection, name)
            if connection.execute("SELECT 1 FROM objects WHERE bucket = ?", (name,)).fetchone():
                raise bucket_not_empty(name)
            theirs = "upload IN (SELECT id FROM uploads WHERE bucket = ?)"
            files = connection.execute(f"SELECT file FROM parts WHERE {theirs}", (name,))
            names = [file for (file,) in files]
            connection.execute(f"DELETE FROM parts WHERE {theirs}", (name,))
            connection.execute("DELETE FROM uploads WHERE bucket = ?", (name,))
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
        return names

    def _add(self, name: str, region: str) -> tuple[Bucket, bool]:
        if not _NAME.fullmatch(name):
            raise invalid_bucket_name(name)
        with transaction(self._database) as connection:
            added = connection.execute(
                "INSERT OR IGNORE INTO buckets (name, region, created) VALUES (?, ?, ?)",
                (name, region, time.time()),
            ).rowcount
        return self.get(name), bool(added)

    def _rows(self, rest: str, *values: str) -> sqlite3.Cursor:
        return self._database.read().execute(
            f"SELECT name, region, created, tags FROM buckets {rest}", values
        )


def _bucket(row: sqlite3.Row) -> Bucket:
    name, region, created, tags = row
    return Bucket(name, region, time_from(created), json.loads(tags))
