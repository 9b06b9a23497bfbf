"""A running server of toy operations: one for all tests that need no other: stopping takes time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.world import World


@pytest.fixture(scope="session")
def running_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("home")) as world:
        yield world


@pytest.fixture
def world(running_world: World) -> World:
    """The shared world, as it was at its start: no endpoints, ready."""
    running_world.is_ready = True
    for name in ("toy", "two", "late"):
        running_world.routes.remove(name)
    return running_world
