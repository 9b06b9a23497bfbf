"""Lists as one writes them: names with spaces between."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())
