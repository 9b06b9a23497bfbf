"""The door to SQLite: who holds which connection, and for how long."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sagedock.store.database import Database, DiskFull


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_threads_that_have_ended_keep_no_file_open(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", ["CREATE TABLE t (a);"])
    before = open_files()
    for _ in range(20):
        thread = threading.Thread(target=lambda: database.read().execute("SELECT * FROM t"))
        thread.start()
        thread.join()

    assert open_files() - before < 8  # one connection's: the database, its log and its index
    database.close()


def test_a_threads_own_connection_outlives_other_threads(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", ["CREATE TABLE t (a);"])
    mine = database.read()
    thread = threading.Thread(target=database.read)
    thread.start()
    thread.join()

    assert database.read() is mine
    assert mine.execute("SELECT count(*) FROM t").fetchone()[0] == 0
    database.close()


def test_a_full_disk_is_refused_in_words_and_forgotten_when_there_is_room(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.db", ["CREATE TABLE t (a);"])
    with database.write() as connection:
        connection.execute("PRAGMA max_page_count = 3")  # SQLite's own way to be full

    with pytest.raises(DiskFull, match="no room left") as refusal, database.write() as connection:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")

    assert refusal.value.status == 507
    with database.write() as connection:
        connection.execute("INSERT INTO t VALUES (1)")
    assert database.read().execute("SELECT count(*) FROM t").fetchone()[0] == 1
    database.close()
