"""A training job's log as a compact table, while it runs."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from demo_screen import Screen

LINES = {
    "training": re.compile(r"\[Epoch (\d+)\] training: accuracy=([0-9.]+)"),
    "speed": re.compile(r"\[Epoch (\d+)\] time cost: [0-9.]+ s, (\d+) images/s"),
    "validation": re.compile(r"\[Epoch (\d+)\] validation: accuracy=([0-9.]+)"),
}
SECONDS_BETWEEN_ROWS = 4.0


@dataclass
class Epoch:
    """What the log has said of one epoch; accuracies from 0 to 1."""

    number: int
    training: float = 0.0
    speed: float = 0.0
    validation: float = 0.0


@dataclass
class EpochTable:
    """Feed it lines: it prints a row when an epoch is over, but no more than one every few
    seconds (the sample's epochs are short), and as notes what the emulator itself has to say."""

    screen: Screen
    epochs: list[Epoch] = field(default_factory=list)
    _printed: int = 0
    _printed_at: float = 0.0

    def feed(self, line: str) -> None:
        """Take one line of the log."""
        for column, pattern in LINES.items():
            if found := pattern.search(line):
                self._note(int(found[1]), column, float(found[2]))
                return
        if line.startswith(("[sagedock]", "sagedock")):  # an environment being built, a warning
            self.screen.note(line)

    def close(self) -> None:
        """The last row, if it was held back."""
        if self.epochs and self._printed < len(self.epochs):
            self._row(self.epochs[-1])

    def _note(self, number: int, column: str, value: float) -> None:
        if not self.epochs or self.epochs[-1].number != number:
            self.epochs.append(Epoch(number))
        setattr(self.epochs[-1], column, value)
        due = time.monotonic() - self._printed_at >= SECONDS_BETWEEN_ROWS
        if column == "validation" and due:
            self._row(self.epochs[-1])

    def _row(self, epoch: Epoch) -> None:
        if not self._printed:
            heads = f"{'epoch':>5}  {'train':>7}  {'valid':>7}  {'images/s':>8}"
            self.screen.line("      " + self.screen.style(heads, "faint"))
        valid = self.screen.style(f"{epoch.validation:7.1%}", "bold")
        bar = self.screen.style(self.screen.bar(epoch.validation), "green")
        numbers = f"{epoch.number + 1:>5}  {epoch.training:7.1%}  {valid}  {epoch.speed:8,.0f}"
        self.screen.line(f"      {numbers}  {bar}")
        self._printed = len(self.epochs)
        self._printed_at = time.monotonic()
