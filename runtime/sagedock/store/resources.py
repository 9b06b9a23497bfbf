"""Resources on disk: one table of JSON bodies with the columns that lists sort and filter by."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, Literal, TypeVar

from sagedock.domain.resource import Resource, from_epoch
from sagedock.errors import SagedockError
from sagedock.store.database import Database

R = TypeVar("R", bound=Resource)


class AlreadyExists(SagedockError):
    """`existing` is the ARN of the resource that has the name."""

    def __init__(self, existing: str) -> None:
        super().__init__(f"{existing} exists already")
        self.existing = existing


class NotFound(SagedockError):
    """No resource of that kind has that name."""


class Outdated(SagedockError):
    """Somebody else saved the resource since it was read: read it again and redo the change."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a List operation asks for; times are compared as AWS says: After and Before exclude
    the moment itself."""

    name_contains: str | None = None
    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    modified_before: datetime | None = None
    sort_by: Literal["Name", "CreationTime", "Status"] = "CreationTime"
    descending: bool = True
    after: tuple[str | float, str] | None = None
    """Only what comes after this place in that order: the `sort_key` of the last one answered."""
    limit: int | None = None


def sort_key(resource: Resource, sort_by: str) -> tuple[str | float, str]:
    """A resource's place in the order `sort_by`; unique, as ties go by name."""
    values: dict[str, str | float] = {
        "Name": resource.name,
        "CreationTime": resource.created.timestamp(),
    }
    return values.get(sort_by, resource.status), resource.name


class Resources(Generic[R]):
    """All resources of one kind."""

    def __init__(self, database: Database, cls: type[R]) -> None:
        self._database = database
        self._cls = cls

    def add(self, resource: R, tags: Iterable[Mapping[str, str]] = ()) -> R:
        """Store a new one, with its tags. Raises AlreadyExists."""
        added = replace(resource, version=1)
        try:
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._row(added)
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO tags VALUES (?, ?, ?, ?)",
                    [(added.arn, tag["Key"], tag["Value"], i) for i, tag in enumerate(tags)],
                )
        except sqlite3.IntegrityError:
            raise AlreadyExists(resource.arn) from None
        return added

    def get(self, name: str) -> R:
        """Raises NotFound."""
        row = (
            self._database.read()
            .execute("SELECT * FROM resources WHERE kind = ? AND name = ?", (self._cls.kind, name))
            .fetchone()
        )
        if row is None:
            raise NotFound(f"{self._cls.kind} {name}")
        return self._restore(row)

    def find(self, wanted: Filter | None = None) -> list[R]:
        """All that match, in the order asked for; ties by name."""
        wanted = wanted or Filter()
        where: list[str] = ["kind = ?"]
        values: list[str | float] = [self._cls.kind]
        if wanted.name_contains:
            where.append("instr(name, ?) > 0")
            values.append(wanted.name_contains)
        if wanted.status:
            where.append("status = ?")
            values.append(wanted.status)
        for column, sign, moment in (
            ("created", ">", wanted.created_after),
            ("created", "<", wanted.created_before),
            ("modified", ">", wanted.modified_after),
            ("modified", "<", wanted.modified_before),
        ):
            if moment is not None:
                where.append(f"{column} {sign} ?")
                values.append(moment.timestamp())
        order = {"Name": "name", "CreationTime": "created", "Status": "status"}[wanted.sort_by]
        way = "DESC" if wanted.descending else "ASC"
        if wanted.after is not None:
            where.append(f"({order}, name) {'<' if wanted.descending else '>'} (?, ?)")
            values.extend(wanted.after)
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        rows = self._database.read().execute(
            f"SELECT * FROM resources WHERE {' AND '.join(where)} "
            f"ORDER BY {order} {way}, name {way}{limit}",
            values,
        )
        return [self._restore(row) for row in rows]

    def save(self, resource: R) -> R:
        """Store a changed one; the version that was read must still be the newest. Raises
        Outdated, or NotFound when it was deleted meanwhile."""
        saved = replace(resource, version=resource.version + 1)
        with self._database.write() as connection:
            row = self._row(saved)
            changed = connection.execute(
                "UPDATE resources SET modified = ?, status = ?, version = ?, request = ?, state = ?"
                " WHERE kind = ? AND name = ? AND version = ?",
                (*row[4:], self._cls.kind, saved.name, resource.version),
            ).rowcount
            if not changed:
                there = connection.execute(
                    "SELECT 1 FROM resources WHERE kind = ? AND name = ?",
                    (self._cls.kind, saved.name),
                ).fetchone()
                raise (Outdated if there else NotFound)(f"{self._cls.kind} {saved.name}")
        return saved

    def delete(self, name: str) -> None:
        """Forget it and its tags. Raises NotFound."""
        with self._database.write() as connection:
            row = connection.execute(
                "DELETE FROM resources WHERE kind = ? AND name = ? RETURNING arn",
                (self._cls.kind, name),
            ).fetchone()
            if row is None:
                raise NotFound(f"{self._cls.kind} {name}")
            connection.execute("DELETE FROM tags WHERE arn = ?", (row["arn"],))

    def _row(self, resource: R) -> tuple[object, ...]:
        return (
            self._cls.kind,
            resource.name,
            resource.arn,
            resource.created.timestamp(),
            resource.modified.timestamp(),
            resource.status,
            resource.version,
            json.dumps(resource.request),
            json.dumps(resource.state()),
        )

    def _restore(self, row: sqlite3.Row) -> R:
        common = {
            "name": row["name"],
            "arn": row["arn"],
            "created": from_epoch(row["created"]),
            "modified": from_epoch(row["modified"]),
            "request": json.loads(row["request"]),
            "version": row["version"],
        }
        return self._cls.restore(common, json.loads(row["state"]))


class Tags:
    """Tags of any resource, by ARN."""

    LIMIT = 50
    """Tags per resource (botocore: TagList max 50)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def exists(self, arn: str) -> bool:
        """Whether a resource has this ARN."""
        row = self._database.read().execute("SELECT 1 FROM resources WHERE arn = ?", (arn,))
        return row.fetchone() is not None

    def of(self, arn: str) -> list[dict[str, str]]:
        rows = self._database.read().execute(
            "SELECT key, value FROM tags WHERE arn = ? ORDER BY position, key", (arn,)
        )
        return [{"Key": row["key"], "Value": row["value"]} for row in rows]

    def put(self, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
        """Add or overwrite, key by key."""
        with self._database.write() as connection:
            (start,) = connection.execute(
                "SELECT coalesce(max(position), -1) + 1 FROM tags WHERE arn = ?", (arn,)
            ).fetchone()
            connection.executemany(
                "INSERT INTO tags VALUES (?, ?, ?, ?) "
                "ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
                [(arn, tag["Key"], tag["Value"], start + i) for i, tag in enumerate(tags)],
            )

    def remove(self, arn: str, keys: Iterable[str]) -> None:
        with self._database.write() as connection:
            connection.executemany(
                "DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys]
            )
