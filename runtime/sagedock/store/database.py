"""The one door to SQLite: a file, its schema, one writer, any number of readers.

What a client was told is on disk before it is told: every `write` block is one transaction that
is committed when the block ends. WAL with synchronous=NORMAL survives `kill -9` of this process at
any moment (the pages are the kernel's by then); only a power cut can lose the last transactions
(https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sagedock.errors import ServiceError, StartupError


class DiskFull(ServiceError):
    """507, which no AWS client repeats by itself. AWS has no such error, having no disk to fill."""

    code, status = "InsufficientStorage", 507

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is no room left on the disk of sagedock's home, {path.parent}. Free space on "
            "that disk, or delete objects, then try again."
        )


class Database:
    """A SQLite file. `migrations[n]` is the script that leads from schema n to n + 1."""

    def __init__(self, path: Path, migrations: Sequence[str]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._writer = self._connect()
        self._readers = threading.local()
        self._open_readers: dict[threading.Thread, sqlite3.Connection] = {}
        self._migrate(migrations)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone; rolled back when the block raises. Blocks may be nested: the
        outermost commits. Raises DiskFull."""
        with self._lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                # A full disk may fail the COMMIT too, or have rolled back by itself already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                # SQLITE_FULL; Python 3.10 has no code to compare.
                if isinstance(error, sqlite3.OperationalError) and "is full" in str(error):
                    raise DiskFull(self.path) from error
                raise

    def read(self) -> sqlite3.Connection:
        """This thread's connection for queries; sees everything that was committed."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = 1")
            self._readers.connection = connection
            with self._lock:
                self._close_readers_of_ended_threads()
                self._open_readers[threading.current_thread()] = connection
        return connection

    def close(self) -> None:
        with self._lock:
            for connection in (*self._open_readers.values(), self._writer):
                connection.close()
            self._open_readers.clear()

    def _close_readers_of_ended_threads(self) -> None:
        """Each job has threads of its own: without this their connections, of two or three files
        each, would use up the process's file descriptors after some hundred jobs."""
        for thread in [thread for thread in self._open_readers if not thread.is_alive()]:
            self._open_readers.pop(thread).close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=30
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self, migrations: Sequence[str]) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > len(migrations):
            raise StartupError(
                f"{self.path} was written by a newer sagedock (schema {version}, this one knows "
                f"{len(migrations)}). Upgrade sagedock, or name another folder with --home."
            )
        for number in range(version, len(migrations)):
            self._writer.executescript(
                f"BEGIN IMMEDIATE;\n{migrations[number]}\nPRAGMA user_version = {number + 1};\n"
                "COMMIT;"
            )
