"""Log lines survive as they came: in order, each once, whenever the emulator is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagedock.store.database import Database
from sagedock.store.log_events import (
    Between,
    Chosen,
    LogEvents,
    LogExists,
    LogNotFound,
    Place,
    events_query,
)
from sagedock.store.schema import MIGRATIONS


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "sagedock.db", MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
def events(database: Database) -> LogEvents:
    return LogEvents(database)


EVERYTHING = Between()


def _texts(events: LogEvents, between: Between = EVERYTHING) -> list[str]:
    return [event.message for event in events.events("g", Chosen(["s"]), between)]


def test_a_stream_is_created_once_and_its_group_with_it(events: LogEvents) -> None:
    assert events.create_stream("g", "s", 1)
    assert not events.create_stream("g", "s", 2)
    assert [stream.created_ms for stream in events.streams("g")] == [1]
    with pytest.raises(LogExists):
        events.create_group("g", 3)


def test_events_at_one_moment_keep_the_order_of_their_arrival(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)
    events.append("g", "s", [(5, "a"), (5, "b")], "1", 5)
    events.append("g", "s", [(5, "c")], "2", 5)
    assert _texts(events) == ["a", "b", "c"]
    assert events.position("g", "s") == "2"


def test_a_runs_lines_keep_their_order_when_the_clock_is_set_back(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)
    events.append("g", "s", [(9, "a"), (3, "b")], "1", 9)
    events.append("g", "s", [(4, "c"), (10, "d")], "2", 9)
    assert _texts(events) == ["a", "b", "c", "d"]


def test_a_clients_events_keep_their_own_times_and_leave_the_position(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)
    events.append("g", "s", [(9, "late")], "7", 9)
    events.append("g", "s", [(3, "early")], None, 9)
    assert _texts(events) == ["early", "late"]
    assert events.position("g", "s") == "7"
    (stream,) = events.streams("g")
    assert (stream.first_ms, stream.last_ms) == (3, 9)


def test_a_place_leads_on_in_either_direction(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)
    events.append("g", "s", [(number, str(number)) for number in range(5)], "1", 9)
    third = next(event.place for event in events.events("g", Chosen(["s"]), Between(start_ms=2)))
    assert third == Place(2, 3)
    assert _texts(events, Between().going_on(False, third)) == ["3", "4"]
    assert _texts(events, Between().going_on(True, third)) == ["1", "0"]


def test_streams_are_chosen_by_name_or_by_prefix(events: LogEvents) -> None:
    for stream in ("job/1", "job/2", "job2/1"):
        events.create_stream("g", stream, 1)
        events.append("g", stream, [(1, stream)], None, 1)

    def found(chosen: Chosen) -> list[str]:
        return [event.stream for event in events.events("g", chosen, Between())]

    assert found(Chosen(prefix="job/")) == ["job/1", "job/2"]
    assert found(Chosen(["job2/1", "no"])) == ["job2/1"]
    assert [stream.name for stream in events.streams("g", "job/")] == ["job/1", "job/2"]


def test_what_is_missing_is_named(events: LogEvents) -> None:
    with pytest.raises(LogNotFound) as caught:
        events.append("g", "s", [(1, "a")], None, 1)
    assert caught.value.missing == "group"
    events.create_group("g", 1)
    with pytest.raises(LogNotFound) as caught:
        events.append("g", "s", [(1, "a")], None, 1)
    assert caught.value.missing == "stream"
    assert events.position("g", "s") is None


def test_a_failed_batch_leaves_neither_lines_nor_position(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)

    def lines() -> Iterator[tuple[int, str]]:
        yield 1, "half"
        raise RuntimeError("the run's log cannot be read")

    with pytest.raises(RuntimeError):
        events.append("g", "s", lines(), "99", 1)
    assert _texts(events) == []
    assert events.position("g", "s") is None


def test_a_new_page_sees_lines_that_came_after_an_abandoned_one(events: LogEvents) -> None:
    events.create_stream("g", "s", 1)
    events.append("g", "s", [(1, "a"), (1, "b")], "1", 1)
    reading = events.events("g", Chosen(["s"]), Between())
    next(reading)
    reading.close()
    events.append("g", "s", [(2, "c")], "2", 2)
    assert _texts(events) == ["a", "b", "c"]


def test_reading_one_stream_of_many_does_not_look_through_the_others(database: Database) -> None:
    going_on = Between().going_on(False, Place(1, 2))
    statement, values = events_query("g", Chosen(["s"]), going_on)
    plan = database.read().execute(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = " ".join(row["detail"] for row in plan)
    assert "SCAN" not in steps, steps
    assert "log_events_in_order (stream=? AND timestamp_ms>?)" in steps


_PUMP = """
import sys
from pathlib import Path
from sagedock.store.database import Database
from sagedock.store.log_events import LogEvents
from sagedock.store.schema import MIGRATIONS

events = LogEvents(Database(Path(sys.argv[1]), MIGRATIONS))
events.create_stream("g", "s", 1)
line = int(events.position("g", "s") or 0)
while True:
    batch = [(line + more, f"line {line + more}") for more in range(7)]
    line += 7
    events.append("g", "s", batch, str(line), line)
    print(line, flush=True)
"""


def test_no_line_is_lost_or_doubled_when_the_pump_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "sagedock.db"
    told = 0
    for _ in range(3):
        pump = subprocess.Popen(
            [sys.executable, "-c", _PUMP, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert pump.stdout is not None
        for _ in range(20):
            told = int(pump.stdout.readline())
        os.kill(pump.pid, signal.SIGKILL)
        pump.communicate()
    database = Database(path, MIGRATIONS)
    events = LogEvents(database)
    texts = _texts(events)
    assert len(texts) >= told
    assert texts == [f"line {number}" for number in range(int(events.position("g", "s") or 0))]
    database.close()
