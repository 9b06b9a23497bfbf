"""A build's own output, read: which step runs, how long it took, and why it failed.

Two builders, two forms: BuildKit's plain progress (`#5 [2/2] RUN …`, `#5 0.6 text`) and the events
of the engine's classic builder (`Step 2/2 : RUN …`). Both become short lines for a person.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import Any

from sagedock.backends.base import Tell

_KIT = re.compile(r"#(\d+) (.*)")
_KIT_STEP = re.compile(r"\[(?!internal)(.*?)\] (.*)")
_KIT_DONE = re.compile(r"DONE (\d+\.\d+)s")
_KIT_TIME = re.compile(r"\d+\.\d+ (.*)")
_CLASSIC_STEP = re.compile(r"Step (\d+/\d+) : (.*)", re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_DOWNLOAD = re.compile(r"Downloading (\S+) .*\((\d+\.?\d* [MG]B)\)")
_WORTH_TELLING_SECONDS = 1.0
_WIDTH = 88
_KEPT_LINES = 8


class _Steps:
    """What both have: the last lines of each step, and the sentences told."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._said: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=_KEPT_LINES))
        self._names: dict[str, str] = {}
        self._untold: dict[str, str] = {}
        self.failed = ""
        self.error = ""

    @property
    def last_lines(self) -> list[str]:
        """What the failing step said last."""
        return list(self._said[self.failed])

    @property
    def failed_step(self) -> str:
        return self._names.get(self.failed, "")

    def _begin(self, key: str, place: str, instruction: str) -> None:
        """Told when it says or does something: steps that are cached would be noise."""
        if key not in self._names:
            self._names[key] = _short(instruction)
            self._untold[key] = f"[{place}] {_short(instruction)}"

    def _output(self, key: str, line: str) -> None:
        line = _COLOUR.sub("", line).strip()
        if not line:
            return
        self._tell_once(key)
        self._said[key].append(line)
        download = _DOWNLOAD.match(line)
        if download:
            self._tell(f"    downloading {download[1]} ({download[2]})")

    def _end(self, key: str, seconds: float) -> None:
        if key in self._names and seconds >= _WORTH_TELLING_SECONDS:
            self._tell_once(key)
            self._tell(f"    {seconds:.1f} s: {self._names[key]}")

    def _tell_once(self, key: str) -> None:
        if key in self._untold:
            self._tell(self._untold.pop(key))


class BuildKitSteps(_Steps):
    """Reads `--progress=plain`, line by line."""

    def read(self, line: str) -> None:
        found = _KIT.match(line)
        if not found:
            if line.startswith("ERROR: "):
                self.error = line.removeprefix("ERROR: ").strip()
            return
        key, rest = found[1], found[2].rstrip()
        if step := _KIT_STEP.match(rest):
            self._begin(key, step[1], step[2])
        elif done := _KIT_DONE.match(rest):
            self._end(key, float(done[1]))
        elif rest.startswith("ERROR: "):
            self.failed, self.error = key, rest.removeprefix("ERROR: ")
        elif timed := _KIT_TIME.match(rest):
            self._output(key, timed[1])


class ClassicSteps(_Steps):
    """Reads the engine's build events."""

    _since = 0.0
    _now = ""

    def read(self, event: Mapping[str, Any]) -> None:
        if "error" in event:
            self.failed, self.error = self._now, str(event["error"]).strip()
            return
        for line in str(event.get("stream") or "").splitlines():
            step = _CLASSIC_STEP.match(line)
            if step:
                self.finish()
                self._now, self._since = step[1], time.monotonic()
                self._begin(step[1], step[1], step[2])
            elif not line.startswith((" --->", "Removing intermediate container")):
                self._output(self._now, line)

    def finish(self) -> None:
        """The last step has no successor that would tell its end."""
        if self._now:
            self._end(self._now, time.monotonic() - self._since)


def _short(instruction: str) -> str:
    words = " ".join(instruction.split())
    return words if len(words) <= _WIDTH else f"{words[: _WIDTH - 1]}…"
