"""How the demo looks: numbered steps with their times, bars, and a line that stays alive."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

STYLES = {"bold": "1", "faint": "2", "red": "31", "green": "32", "cyan": "36"}
BAR = 24
NOTE_WIDTH = 104


class Screen:
    """Writes to a terminal or into a log; colour and the live line only on a terminal.

    NO_COLOR switches the colour off (https://no-color.org).
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and not os.environ.get("NO_COLOR")
        self._unicode = (stream.encoding or "").lower().startswith("utf")
        self._live = False

    def style(self, text: str, *names: str) -> str:
        """`text` in a style of STYLES, or as it is where there is no colour."""
        if not self._colour:
            return text
        codes = ";".join(STYLES[name] for name in names)
        return f"\033[{codes}m{text}\033[0m"

    def line(self, text: str = "") -> None:
        """One line that stays."""
        self._wipe()
        if not self._unicode:
            text = text.translate(ASCII)
        print(text, file=self._stream, flush=True)

    def note(self, text: str) -> None:
        """A faint line that belongs to the step above it; what is too long for a line is cut."""
        if len(text) > NOTE_WIDTH:
            text = text[: NOTE_WIDTH - 1] + "…"
        self.line("      " + self.style(text, "faint"))

    def live(self, text: str) -> None:
        """A line that the next one replaces; nothing where the stream is no terminal."""
        if not self._terminal:
            return
        self._wipe()
        width = shutil.get_terminal_size().columns - 1
        if not self._unicode:
            text = text.translate(ASCII)
        self._stream.write(text[:width])
        self._stream.flush()
        self._live = True

    def _wipe(self) -> None:
        if self._live:
            self._stream.write("\r\033[K")
            self._live = False

    def bar(self, share: float, width: int = BAR) -> str:
        """A bar that is full at 1.0."""
        filled = round(max(0.0, min(1.0, share)) * width)
        return "█" * filled + "░" * (width - filled)


ASCII = str.maketrans({"█": "#", "░": "-", "→": ">", "✓": "+", "✗": "x", "·": "-", "…": "."})


class Steps:
    """The demo's steps, in order, with the seconds that each took."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._screen = screen
        self._total = total
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, headline: str) -> Iterator[None]:
        """Announce a step, run it, and say how long it took."""
        number = f"[{len(self.seconds) + 1}/{self._total}]"
        self._screen.line()
        self._screen.line(
            f"{self._screen.style(number, 'cyan')} {self._screen.style(headline, 'bold')}"
        )
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 2)
        self._screen.note(f"{self.seconds[name]:.1f} s")
