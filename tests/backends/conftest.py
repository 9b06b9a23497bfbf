from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.stages import ProcessStage, ScriptedStage, Stage
from sagedock.backends.process import ProcessBackend
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


@pytest.fixture(params=["scripted", "process"])
def stage(request: pytest.FixtureRequest) -> Stage:
    chosen: Stage = request.getfixturevalue(f"{request.param}_stage")
    return chosen
