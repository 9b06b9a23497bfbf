"""Following a run's log file as lines, from any position, to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.backends.base import LogLine

MAX_LINE_BYTES = 256 * 1024
"""Longer lines are split: CloudWatch Logs takes no event above it (API_InputLogEvent)."""

_CHUNK_BYTES = 64 * 1024
_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.03


def follow(path: Path, after: str | None, ended: threading.Event) -> Iterator[LogLine]:
    """Lines of `path` from the byte offset `after` on, until `ended` is set and the file read.

    Reading is by polling, quick after output and down to 33 looks a second without: output comes
    in bursts, and a look costs microseconds. A log that was removed has no lines.
    """
    if not path.exists():
        return
    splitter = LineSplitter(int(after or 0))
    pause = _SHORTEST_PAUSE
    with path.open("rb", buffering=0) as file:
        file.seek(splitter.offset)
        while True:
            last_look = ended.is_set()
            chunk = file.read(_CHUNK_BYTES)
            if chunk:
                pause = _SHORTEST_PAUSE
                yield from splitter.feed(chunk)
            elif last_look:
                yield from splitter.rest()
                return
            else:
                ended.wait(pause)
                pause = min(_LONGEST_PAUSE, pause * 1.5)


@dataclass
class LineSplitter:
    """Bytes in, lines out. `offset` is the position up to which lines were delivered."""

    offset: int = 0
    _held: bytes = b""
    _searched: int = 0
    _clock_ms: int = field(default=0)

    def feed(self, chunk: bytes) -> Iterator[LogLine]:
        """Every line that `chunk` completes."""
        data = self._held + chunk
        start, searched = 0, self._searched
        while True:
            end = data.find(b"\n", searched, start + MAX_LINE_BYTES + 1)
            if end >= 0:
                yield self._line(data[start:end].removesuffix(b"\r"), end + 1 - start)
                start = end + 1
            elif len(data) - start > MAX_LINE_BYTES:
                size = _character_boundary(data, start + MAX_LINE_BYTES) - start
                yield self._line(data[start : start + size], size)
                start += size
            else:
                break
            searched = start
        self._held = data[start:]
        self._searched = len(self._held)

    def rest(self) -> Iterator[LogLine]:
        """The last line, where no newline ends it."""
        if self._held:
            held, self._held, self._searched = self._held, b"", 0
            yield self._line(held, len(held))

    def _line(self, content: bytes, size: int) -> LogLine:
        self.offset += size
        self._clock_ms = max(self._clock_ms, int(time.time() * 1000))
        text = content.decode("utf-8", "replace")
        return LogLine(text, str(self.offset), self._clock_ms)


def _character_boundary(data: bytes, end: int) -> int:
    """`end`, or up to three bytes before it where it would cut a UTF-8 character in two."""
    for cut in range(end, end - 4, -1):
        if data[cut] & 0xC0 != 0x80:
            return cut
    return end
