"""LooseVersion and StrictVersion, as far as comparing goes."""

from __future__ import annotations

import re
from functools import total_ordering
from typing import Any


@total_ordering
class Version:
    """A version that compares with others and with text; `version` holds its parts."""

    def __init__(self, text: str | None = None) -> None:
        self.vstring = ""
        self.version: Any = []
        if text:
            self.parse(text)

    def parse(self, text: str) -> None:
        self.vstring = text
        parts = [p for p in re.split(r"(\d+|[a-z]+|\.)", text) if p and p != "."]
        self.version = [int(p) if p.isdigit() else p for p in parts]

    def _other(self, other: Any) -> Any:
        return type(self)(other) if isinstance(other, str) else other

    def __eq__(self, other: object) -> bool:
        return bool(self.version == self._other(other).version)

    def __lt__(self, other: object) -> bool:
        return bool(self.version < self._other(other).version)

    def __hash__(self) -> int:
        return hash(self.vstring)

    def __str__(self) -> str:
        return self.vstring

    def __repr__(self) -> str:
        return f"{type(self).__name__} ('{self}')"


class LooseVersion(Version):
    """Any text: numbers and words, compared part by part."""


class StrictVersion(Version):
    """Two or three numbers and an optional a or b pre-release, as in 1.2, 1.2.3, 1.2a1."""

    def parse(self, text: str) -> None:
        """Raises ValueError for anything else."""
        match = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?", text)
        if match is None:
            raise ValueError(f"invalid version number '{text}'")
        major, minor, patch, letter, number = match.groups()
        final = ("z", 0) if letter is None else (letter, int(number))
        self.vstring = text
        self.version = (int(major), int(minor), int(patch or 0), final)
