"""Log groups, streams and events: what CloudWatch Logs keeps.

Events of a stream are ordered by their time, then by their arrival (the row's id). Both together
are an event's `Place`, which pages start from: rows are never renumbered, so a place stays valid
whatever is added later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import NamedTuple

from sagedock.errors import SagedockError
from sagedock.store.database import Database

_LAST_CHARACTER = "\U0010ffff"
"""Sorts behind everything that can follow a prefix."""


class LogNotFound(SagedockError):
    """`missing` is "group" or "stream"."""

    def __init__(self, missing: str, name: str) -> None:
        super().__init__(f"log {missing} {name} does not exist")
        self.missing = missing


class LogExists(SagedockError):
    """There is a group or stream of that name already."""


class Place(NamedTuple):
    """Where an event stands among those of its group: time in ms since 1970, UTC, then row."""

    timestamp_ms: int
    row: int


@dataclass(frozen=True, slots=True)
class LogGroup:
    name: str
    created_ms: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class LogStream:
    """All times in ms since 1970, UTC; None while the stream has no events."""

    name: str
    created_ms: int
    first_ms: int | None
    last_ms: int | None
    ingested_ms: int | None


@dataclass(frozen=True, slots=True)
class LogEvent:
    place: Place
    stream: str
    message: str
    ingested_ms: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which streams of a group: those named, or (names None) all that start with `prefix`."""

    names: Sequence[str] | None = None
    prefix: str = ""

    def where(self) -> tuple[str, Sequence[str]]:
        if self.names is None:
            return "name >= ? AND name <= ?", (self.prefix, self.prefix + _LAST_CHARACTER)
        return f"name IN ({', '.join('?' * len(self.names))})", self.names


@dataclass(frozen=True, slots=True)
class Between:
    """Which events: from `start_ms` (itself included) to before `end_ms`, and on one side of a
    place: after it, oldest first, or before it, newest first."""

    start_ms: int | None = None
    end_ms: int | None = None
    after: Place | None = None
    before: Place | None = None
    newest_first: bool = False

    def going_on(self, newest_first: bool, place: Place) -> Between:
        """The same times, beyond `place` in that direction."""
        if newest_first:
            return replace(self, newest_first=True, after=None, before=place)
        return replace(self, newest_first=False, after=place, before=None)

    def where(self) -> tuple[str, list[int]]:
        parts: list[str] = []
        values: list[int] = []
        for part, moment in (
            ("timestamp_ms >= ?", self.start_ms),
            ("timestamp_ms < ?", self.end_ms),
        ):
            if moment is not None:
                parts.append(part)
                values.append(moment)
        for sign, place in ((">", self.after), ("<", self.before)):
            if place is not None:
                parts.append(f"(timestamp_ms, log_events.id) {sign} (?, ?)")
                values.extend(place)
        return "".join(f" AND {part}" for part in parts), values


class LogEvents:
    """All log groups of this emulator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- groups -------------------------------------------------------------------------------

    def create_group(self, group: str, now_ms: int) -> None:
        """Raises LogExists."""
        try:
            with self._database.write() as connection:
                connection.execute("INSERT INTO log_groups VALUES (?, ?)", (group, now_ms))
        except sqlite3.IntegrityError:
            raise LogExists(group) from None

    def delete_group(self, group: str) -> None:
        """With its streams and events. Raises LogNotFound."""
        with self._database.write() as connection:
            if not connection.execute("DELETE FROM log_groups WHERE name = ?", (group,)).rowcount:
                raise LogNotFound("group", group)

    def has_group(self, group: str) -> bool:
        row = self._database.read().execute("SELECT 1 FROM log_groups WHERE name = ?", (group,))
        return row.fetchone() is not None

    def groups(self, prefix: str = "", containing: str = "") -> list[LogGroup]:
        """Those whose names start with `prefix` and contain `containing`, by name."""
        rows = self._database.read().execute(
            "SELECT name, created_ms FROM log_groups WHERE substr(name, 1, ?) = ?"
            " AND instr(name, ?) > 0 ORDER BY name",
            (len(prefix), prefix, containing),
        )
        return [LogGroup(row["name"], row["created_ms"], self._stored(row["name"])) for row in rows]

    def _stored(self, group: str) -> int:
        (stored,) = (
            self._database.read()
            .execute(
                "SELECT coalesce(sum(length(CAST(message AS BLOB))), 0) FROM log_events"
                " WHERE stream IN (SELECT id FROM log_streams WHERE log_group = ?)",
                (group,),
            )
            .fetchone()
        )
        return int(stored)

    # --- streams ------------------------------------------------------------------------------

    def create_stream(self, group: str, stream: str, now_ms: int) -> bool:
        """Make sure that the stream, and its group, are there; False when it was already."""
        with self._database.write() as connection:
            connection.execute("INSERT OR IGNORE INTO log_groups VALUES (?, ?)", (group, now_ms))
            made = connection.execute(
                "INSERT OR IGNORE INTO log_streams (log_group, name, created_ms) VALUES (?, ?, ?)",
                (group, stream, now_ms),
            ).rowcount
        return bool(made)

    def delete_stream(self, group: str, stream: str) -> None:
        """With its events. Raises LogNotFound."""
        with self._database.write() as connection:
            found = self._stream_id(connection, group, stream)
            connection.execute("DELETE FROM log_streams WHERE id = ?", (found,))

    def has_stream(self, group: str, stream: str) -> bool:
        row = self._database.read().execute(
            "SELECT 1 FROM log_streams WHERE log_group = ? AND name = ?", (group, stream)
        )
        return row.fetchone() is not None

    def streams(
        self, group: str, prefix: str = "", *, by_time: bool = False, descending: bool = False
    ) -> list[LogStream]:
        """By name, or by the time of their last event (streams without one count as oldest)."""
        way = "DESC" if descending else "ASC"
        order = f"coalesce(last_ms, 0) {way}, name {way}" if by_time else f"name {way}"
        rows = self._database.read().execute(
            "SELECT * FROM log_streams WHERE log_group = ? AND name >= ? AND name <= ?"
            f" ORDER BY {order}",
            (group, prefix, prefix + _LAST_CHARACTER),
        )
        return [
            LogStream(r["name"], r["created_ms"], r["first_ms"], r["last_ms"], r["ingested_ms"])
            for r in rows
        ]

    # --- events -------------------------------------------------------------------------------

    def append(
        self,
        group: str,
        stream: str,
        events: Iterable[tuple[int, str]],
        position: str | None,
        now_ms: int,
    ) -> None:
        """Store (time in ms, message) pairs, and `position`, up to which the run's output has been
        read, in one transaction: after a kill the pump goes on at a position that exactly fits the
        stored lines. `position` None leaves it as it is (events that a client put).

        The lines of a run keep their order even where its clock was set back: a line is never
        given an earlier time than the one before it. CloudWatch knows no empty message
        (botocore shape EventMessage, min 1), so an empty line is stored as one space. Raises
        LogNotFound.
        """
        with self._database.write() as connection:
            found = self._stream_id(connection, group, stream)
            (last,) = connection.execute(
                "SELECT coalesce(last_ms, 0) FROM log_streams WHERE id = ?", (found,)
            ).fetchone()
            rows: list[tuple[int, int, int, str]] = []
            for moment, message in events:
                last = max(last, moment) if position is not None else moment
                rows.append((found, last, now_ms, message or " "))
            connection.executemany(
                "INSERT INTO log_events (stream, timestamp_ms, ingested_ms, message)"
                " VALUES (?, ?, ?, ?)",
                rows,
            )
            self._note(connection, found, [row[1] for row in rows], position, now_ms)

    def position(self, group: str, stream: str) -> str | None:
        """Where to go on reading the run; None at its start."""
        row = (
            self._database.read()
            .execute(
                "SELECT position FROM log_streams WHERE log_group = ? AND name = ?",
                (group, stream),
            )
            .fetchone()
        )
        return None if row is None else row["position"]

    def events(
        self, group: str, chosen: Chosen, between: Between
    ) -> Generator[LogEvent, None, None]:
        """The events of the chosen streams, interleaved by time. Close the generator (or exhaust
        it) soon: until then this thread's connection sees the database as it is now."""
        cursor = self._database.read().execute(*events_query(group, chosen, between))
        with closing(cursor):
            for row in cursor:
                place = Place(row["timestamp_ms"], row["row"])
                yield LogEvent(place, row["name"], row["message"], row["ingested"])

    @staticmethod
    def _stream_id(connection: sqlite3.Connection, group: str, stream: str) -> int:
        row = connection.execute(
            "SELECT id FROM log_streams WHERE log_group = ? AND name = ?", (group, stream)
        ).fetchone()
        if row is None:
            known = connection.execute("SELECT 1 FROM log_groups WHERE name = ?", (group,))
            missing = "group" if known.fetchone() is None else "stream"
            raise LogNotFound(missing, group if missing == "group" else stream)
        return int(row["id"])

    @staticmethod
    def _note(
        connection: sqlite3.Connection,
        stream: int,
        moments: Sequence[int],
        position: str | None,
        now_ms: int,
    ) -> None:
        """Keep the stream's own columns up with what was just appended."""
        if moments:
            connection.execute(
                "UPDATE log_streams SET first_ms = min(coalesce(first_ms, ?), ?),"
                " last_ms = max(coalesce(last_ms, 0), ?), ingested_ms = ? WHERE id = ?",
                (moments[0], min(moments), max(moments), now_ms, stream),
            )
        if position is not None:
            connection.execute(
                "UPDATE log_streams SET position = ? WHERE id = ?", (position, stream)
            )


def events_query(group: str, chosen: Chosen, between: Between) -> tuple[str, list[str | int]]:
    """The statement behind `LogEvents.events`, and its values."""
    which, names = chosen.where()
    where, values = between.where()
    way = "DESC" if between.newest_first else "ASC"
    statement = (
        "SELECT log_events.id AS row, timestamp_ms, log_events.ingested_ms AS ingested,"
        " message, name FROM log_events JOIN log_streams ON log_streams.id = stream"
        f" WHERE log_group = ? AND {which}{where}"
        f" ORDER BY timestamp_ms {way}, log_events.id {way}"
    )
    return statement, [group, *names, *values]
