"""A container's records as lines, from any position on, without an engine."""

from __future__ import annotations

import io
import itertools
import random

import pytest

from sagedock.backends.base import LogLine
from sagedock.backends.docker.log_records import (
    STDERR,
    STDOUT,
    LineAssembly,
    Position,
    Record,
    records,
)

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
PART = 16_384


def out(stamp: int, content: bytes) -> Record:
    return Record(STDOUT, START + stamp, content)


def err(stamp: int, content: bytes) -> Record:
    return Record(STDERR, START + stamp, content)


def answered(log: list[Record], position: Position) -> list[Record]:
    """What the engine sends for `since`: it compares the stamp of each record, and is inclusive."""
    if position.since is None:
        return log
    seconds, _, fraction = position.since.partition(".")
    since = int(seconds) * SECOND + int(fraction)
    return [record for record in log if record.stamp >= since]


def read(log: list[Record], after: str | None = None, count: int | None = None) -> list[LogLine]:
    """The first `count` lines after a position, as a reader gets them who begins there."""
    position = Position.parse(after)
    assembly = LineAssembly(position)
    lines = itertools.chain(
        itertools.chain.from_iterable(map(assembly.feed, answered(log, position))), assembly.rest()
    )
    return list(itertools.islice(lines, count))


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


def read_in_pieces(log: list[Record], sizes: random.Random) -> list[str]:
    """Everything, by readers that are dropped after a few lines each."""
    said: list[str] = []
    position = None
    while lines := read(log, position, sizes.randint(1, 4)):
        said += texts(lines)
        position = lines[-1].position
    return said


def frame(stream: int, payload: bytes) -> bytes:
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


def test_a_reader_that_goes_on_gets_what_came_after_the_line() -> None:
    log = [out(1, b"a\n"), err(2, b"b\n"), out(3, b"c\n")]
    first = read(log, count=2)
    assert texts(first) == ["a", "b"]
    assert texts(read(log, first[-1].position)) == ["c"]


def test_records_with_one_stamp_are_told_apart_by_their_bytes() -> None:
    log = [out(1, b"same\n"), out(1, b"same\n"), err(1, b"same\n"), out(1, b"same\n")]
    assert read_in_pieces(log, random.Random(1)) == ["same"] * 4
    assert [len(read(log, line.position)) for line in read(log)] == [3, 2, 1, 0]


def test_stamps_of_whole_seconds_lose_and_double_nothing() -> None:
    log = [
        Record(1 + number % 2, START + number // 40 * SECOND, f"{number}\n".encode())
        for number in range(200)
    ]
    for seed in range(20):
        assert read_in_pieces(log, random.Random(seed)) == [str(number) for number in range(200)]


def test_the_parts_of_a_long_line_are_one_line() -> None:
    long = [out(5, b"x" * PART), err(6, b"between\n"), out(5, b"x" * PART), out(5, b"end\n")]
    log = [out(1, b"before\n"), *long, out(7, b"after\n")]
    assert texts(read(log)) == ["before", "between", "x" * 2 * PART + "end", "after"]
    assert read_in_pieces(log, random.Random(2)) == texts(read(log))


def test_a_reader_that_stops_within_a_long_line_begins_it_again() -> None:
    log = [out(1, b"before\n"), out(5, b"x" * PART)]
    position = read(log)[0].position
    assert texts(read([*log, out(5, b"y\n")], position)) == ["x" * PART + "y"]


def test_streams_whose_stamps_cross_lose_and_double_nothing() -> None:
    numbers = random.Random(3)
    log = []
    for number in range(300):
        # Stamped before they wait for the log's file: one of the other stream may overtake.
        stamp = number * 1000 - (numbers.randint(0, 5000) if number % 2 else 0)
        log.append(Record(1 + number % 2, START + stamp, f"{number}\n".encode()))
    for stream in (STDOUT, STDERR):
        stamps = sorted(record.stamp for record in log if record.stream == stream)
        mine = iter(stamps)
        log = [
            Record(stream, next(mine), record.content) if record.stream == stream else record
            for record in log
        ]
    for seed in range(20):
        assert read_in_pieces(log, random.Random(seed)) == [str(number) for number in range(300)]


def test_a_silent_stream_does_not_have_everything_read_again() -> None:
    log = [err(1, b"once\n"), *(out(n * SECOND, b"%d\n" % n) for n in range(2, 100))]
    last = read(log)[-1]
    assert len(answered(log, Position.parse(last.position))) <= 11
    late = [*log, err(99 * SECOND + 1, b"late\n")]
    assert texts(read(late, last.position)) == ["late"]


def test_a_stream_that_holds_an_unfinished_line_is_not_taken_for_silent() -> None:
    log = [err(1, b"begun, "), *(out(n * SECOND, b"%d\n" % n) for n in range(2, 100))]
    last = read(log, count=98)[-1]
    assert texts(read([*log, err(100 * SECOND, b"ended\n")], last.position)) == ["begun, ended"]


def test_a_last_line_without_newline_is_not_read_twice() -> None:
    log = [out(1, b"whole\n"), out(2, b"cut"), err(3, b"short")]
    lines = read(log)
    assert texts(lines) == ["whole", "cut", "short"]
    assert read(log, lines[-1].position) == []
    assert texts(read(log, lines[1].position)) == ["short"]


def test_times_never_go_back() -> None:
    log = [out(5_000_000, b"a\n"), err(4_000_000, b"b\n"), out(9_000_000, b"c\n")]
    assert [line.timestamp_ms - START // 1_000_000 for line in read(log)] == [5, 5, 9]


@pytest.mark.parametrize(
    ("stamp", "nanoseconds"),
    [
        ("2023-11-14T22:13:20.000000001Z", START + 1),
        ("2023-11-14T22:13:20.5Z", START + SECOND // 2),
        ("2023-11-14T22:13:20Z", START),
    ],
)
def test_stamps_have_any_number_of_digits(stamp: str, nanoseconds: int) -> None:
    raw = io.BytesIO(frame(1, f"{stamp} said\n".encode()))
    assert list(records(raw.read)) == [Record(STDOUT, nanoseconds, b"said\n")]


def test_an_answer_that_is_cut_off_ends_with_its_last_whole_record() -> None:
    whole = frame(2, b"2023-11-14T22:13:20Z a b\n")
    for cut in (3, 8, 15):
        raw = io.BytesIO(whole + frame(1, b"2023-11-14T22:13:21Z c\n")[:cut])
        assert [record.content for record in records(raw.read)] == [b"a b\n"]


def test_an_answer_comes_in_any_pieces() -> None:
    raw = io.BytesIO(frame(1, b"2023-11-14T22:13:20Z one\n") + frame(2, b"2023-11-14T22:13:20Z \n"))
    found = list(records(lambda size: raw.read(min(size, 3))))
    assert [(record.stream, record.content) for record in found] == [(1, b"one\n"), (2, b"\n")]


@pytest.mark.parametrize("text", ["", "12", "1+2", "a+b c+d", "1+2 3+4 5+6"])
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Position.parse(text)
