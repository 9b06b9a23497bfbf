from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.byo import Maker, maker
from backends.stages import DockerStage, ProcessStage, ScriptedStage, Stage
from daemons import Daemon, daemon, why_none
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.local_images import find_image
from sagedock.backends.process import ProcessBackend
from sagedock.errors import EngineUnavailable
from scripted import ScriptedBackend


@pytest.fixture
def process_stage(tmp_path: Path, frameworks: Path) -> Iterator[ProcessStage]:
    stage = ProcessStage(tmp_path, ProcessBackend(tmp_path, frameworks))
    stage.frameworks = frameworks
    yield stage
    stage.backend.clean(frozenset())


@pytest.fixture
def scripted_stage(tmp_path: Path) -> Iterator[ScriptedStage]:
    stage = ScriptedStage(tmp_path, ScriptedBackend())
    yield stage
    stage.backend.clean(frozenset())


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The machine's Docker engine, with the image that the tests run in."""
    try:
        engine = Engine.connect()
    except EngineUnavailable as why:
        pytest.skip(str(why))
    if find_image(engine, DockerStage.image) is None:
        pytest.skip(f"the engine has no image {DockerStage.image}")
    yield engine
    engine.close()


@pytest.fixture
def docker_stage(tmp_path: Path, engine: Engine) -> Iterator[DockerStage]:
    stage = DockerStage(tmp_path, DockerBackend(engine, tmp_path))
    stage.engine = engine
    yield stage
    stage.backend.clean(frozenset())


@pytest.fixture(scope="module")
def mortal(engine: Engine) -> Iterator[Daemon]:
    """An engine that a test may stop and kill; it has the machine's engine's test image."""
    if why_none():
        pytest.skip(why_none())
    with daemon() as made:
        made.load(engine, DockerStage.image)
        yield made


@pytest.fixture(scope="session")
def byo(engine: Engine) -> Iterator[Maker]:
    """Makes images that are not ours."""
    with maker(engine) as made:
        yield made


@pytest.fixture(params=["scripted", "process", pytest.param("docker", marks=pytest.mark.docker)])
def stage(request: pytest.FixtureRequest) -> Stage:
    chosen: Stage = request.getfixturevalue(f"{request.param}_stage")
    return chosen
