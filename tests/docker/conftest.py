"""An emulator whose jobs run in containers of the machine's engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from journeys.traveller import Traveller
from sagedock import Emulator
from sagedock.backends.docker.engine import Engine
from sagedock.errors import EngineUnavailable


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The machine's Docker engine."""
    try:
        engine = Engine.connect()
    except EngineUnavailable as why:
        pytest.skip(str(why))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def docked(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, backend="docker") as dock:
        yield dock
    # Others start and remove containers meanwhile: of one that is gone nothing more is asked.
    mine = engine.client.api.containers(all=True, filters={"label": "sagedock.home"})
    below = [box for box in mine if str(home) in box["Labels"].get("sagedock.workdir", "")]
    left = [box["Names"] for box in below]
    assert not left, f"containers are left behind: {left}"


@pytest.fixture(scope="module")
def traveller(docked: Emulator) -> Traveller:
    return Traveller(docked.client_kwargs).settle_in()
