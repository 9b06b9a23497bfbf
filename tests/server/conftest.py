"""A running server of toy operations, with a toy model server behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world
