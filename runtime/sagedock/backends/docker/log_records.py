"""A container's log as lines, from any position on, none lost and none doubled.

The engine keeps records (stamp, stream, bytes): a line of up to 16 KiB is one, a longer one is
several. Within one stream the stamps only grow; between stdout and stderr they do not, and several
records may share one. So a position holds for each stream the stamp of the last byte that was
delivered, and how many bytes with that stamp were: reading goes on from the older of the two
stamps, and drops what each stream had already. (Observed: engines 20.10 and 26.1, and Podman 4.3,
whose stamps are whole seconds.)
"""

from __future__ import annotations

import calendar
import functools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from sagedock.backends.base import LogLine
from sagedock.backends.log_files import LineSplitter

STDOUT, STDERR = 1, 2
_HEADER_BYTES = 8
_SECOND = 1_000_000_000
_DISORDER = 10 * _SECOND
"""By how much a record may come after one of the other stream that has a later stamp: they are
stamped before they wait for the log's file. Seen were microseconds."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the engine's log. `stamp` is in nanoseconds since 1970, UTC."""

    stream: int
    stamp: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """How far one stream was delivered: `size` bytes of those with `stamp`."""

    stamp: int = 0
    size: int = 0

    def moved(self, stamp: int, size: int) -> Mark:
        """After `size` more bytes of `stamp`."""
        return Mark(stamp, self.size + size if stamp == self.stamp else size)


@dataclass(frozen=True, slots=True)
class Position:
    """How far a log was read, both streams. As text it is `LogLine.position`."""

    stdout: Mark = field(default_factory=Mark)
    stderr: Mark = field(default_factory=Mark)

    def __str__(self) -> str:
        return " ".join(f"{mark.stamp}+{mark.size}" for mark in (self.stdout, self.stderr))

    @classmethod
    def parse(cls, text: str | None) -> Position:
        """The beginning, for None. Raises ValueError for a text that is no position."""
        if text is None:
            return cls()
        stdout, stderr = (Mark(*map(int, part.split("+"))) for part in text.split(" "))
        return cls(stdout, stderr)

    def of(self, stream: int) -> Mark:
        return self.stderr if stream == STDERR else self.stdout

    def after(self, stream: int, mark: Mark) -> Position:
        return replace(self, **{"stderr" if stream == STDERR else "stdout": mark})

    @property
    def since(self) -> str | None:
        """For the engine's `since`: seconds.nanoseconds, inclusive, exact as text only; None for
        the beginning."""
        oldest = min(self.stdout.stamp, self.stderr.stamp)
        return f"{oldest // _SECOND}.{oldest % _SECOND:09d}" if oldest else None


def records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """The engine's raw answer, whose frames are a stream's number, three zeros, a length, a record;
    until it ends. A record that is cut off is left out."""
    while (header := _exactly(read, _HEADER_BYTES)) is not None:
        framed = _exactly(read, int.from_bytes(header[4:], "big"))
        if framed is None:
            return
        stamp, _, content = framed.partition(b" ")
        yield Record(header[0], nanoseconds(stamp.decode("ascii")), content)


class LineAssembly:
    """Records in, lines out; `position` is that of the last line that came out."""

    def __init__(self, position: Position) -> None:
        self.position = position
        self._streams = {
            stream: _Stream(position.of(stream), Mark(position.of(stream).stamp))
            for stream in (STDOUT, STDERR)
        }
        self._clock_ms = 0

    def feed(self, record: Record) -> Iterator[LogLine]:
        """The lines that `record` completes; none for what was delivered before."""
        number = STDERR if record.stream == STDERR else STDOUT
        stream = self._streams[number]
        content = stream.fresh(record)
        if content:
            stream.origins.append((record.stamp, len(content)))
            for line in stream.splitter.feed(content):
                yield self._delivered(number, line)

    def rest(self) -> Iterator[LogLine]:
        """Last lines that no newline ends: only once the run has ended."""
        for number, stream in self._streams.items():
            for line in stream.splitter.rest():
                yield self._delivered(number, line)

    def _delivered(self, number: int, line: LogLine) -> LogLine:
        mark = self._streams[number].deliver(self.position.of(number))
        other = STDOUT if number == STDERR else STDERR
        silent = self._streams[other].silent_until(mark.stamp, self.position.of(other))
        self.position = self.position.after(number, mark).after(other, silent)
        self._clock_ms = max(self._clock_ms, mark.stamp // 1_000_000)
        return LogLine(line.text, str(self.position), self._clock_ms)


@dataclass(slots=True)
class _Stream:
    """One of the two on its way. `start` is where we began, `seen` what came again of its stamp;
    `origins` are the stamps of the bytes that came and were not delivered yet."""

    start: Mark
    seen: Mark
    splitter: LineSplitter = field(default_factory=LineSplitter)
    origins: deque[tuple[int, int]] = field(default_factory=deque)
    delivered: int = 0

    def fresh(self, record: Record) -> bytes:
        """What of a record was not delivered before `start`."""
        if record.stamp > self.start.stamp:
            return record.content
        if record.stamp < self.start.stamp:
            return b""
        before, self.seen = self.seen, self.seen.moved(record.stamp, len(record.content))
        return record.content[max(0, self.start.size - before.size) :]

    def deliver(self, mark: Mark) -> Mark:
        """The mark after all that the splitter has let out."""
        size = self.splitter.offset - self.delivered
        self.delivered = self.splitter.offset
        while size:
            stamp, there = self.origins.popleft()
            taken = min(size, there)
            mark, size = mark.moved(stamp, taken), size - taken
            if there > taken:
                self.origins.appendleft((stamp, there - taken))
        return mark

    def silent_until(self, stamp: int, mark: Mark) -> Mark:
        """The mark when the other stream is at `stamp`: what says nothing for long must not be the
        place from which everything is read once more."""
        floor = stamp - _DISORDER
        return Mark(floor) if floor > mark.stamp and not self.origins else mark


def _exactly(read: Callable[[int], bytes], size: int) -> bytes | None:
    content = b""
    while len(content) < size:
        more = read(size - len(content))
        if not more:
            return None
        content += more
    return content


def nanoseconds(stamp: str) -> int:
    """Of RFC 3339 in UTC, with any number of digits behind the point. Raises ValueError."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return _seconds(whole) * _SECOND + int(fraction.ljust(9, "0") or 0)


@functools.lru_cache(maxsize=4)
def _seconds(whole: str) -> int:
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
