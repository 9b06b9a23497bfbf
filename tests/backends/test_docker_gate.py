"""A container that is started ahead waits at its gate, and nothing shows that it did."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.byo import containers_of
from backends.stages import DockerStage
from daemons import Daemon
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.backends.base import Mount, RunSpec
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.local_images import find_image

pytestmark = pytest.mark.docker

TAG = "sagedock/python:3.11-cpu"
SCRIPT = """
import os, sys
print(sorted(os.listdir('/opt/ml/input/data')), sys.stdin.read(), flush=True)
sys.exit(7)
"""
BEGINS = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from backends.test_docker_gate import spec
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
folder = Path(sys.argv[1])
DockerBackend(Engine.connect(), folder).ahead(spec(folder))
time.sleep(600)
"""


@pytest.fixture
def stage(docker_stage: DockerStage, engine: Engine) -> DockerStage:
    """Only images of ours are started ahead, and only those that need not be built first."""
    found = find_image(engine, TAG)
    if found is None:
        pytest.skip(f"the engine has no image {TAG}: sagedock images build python")
    docker_stage.backend.prepare("sagedock/python", lambda line: None)
    return docker_stage


def spec(folder: Path) -> RunSpec:
    """A run of `train`, in an image of ours, of a script that is there when it starts."""
    workdir = folder / "run"
    (workdir / "ml/input/data").mkdir(parents=True)
    return RunSpec(
        name="ahead",
        image="sagedock/python",
        command=("train",),
        arguments=("python", "/opt/ml/play.py"),
        workdir=workdir,
        mounts=(Mount(workdir / "ml", "/opt/ml"),),
    )


def waits(stage: DockerStage) -> None:
    """Until the container that was begun runs, and waits."""
    wait_for(
        lambda: containers_of(stage),
        lambda boxes: bool(boxes and boxes[0]["State"] == "running"),
    )


def stage_files(spec: RunSpec) -> None:
    (spec.workdir / "ml/play.py").write_text(SCRIPT)
    (spec.workdir / "ml/input/data/training").mkdir()


def test_what_is_staged_after_the_start_is_there_and_the_gate_leaves_no_trace(
    stage: DockerStage, tmp_path: Path
) -> None:
    wanted = spec(tmp_path)
    stage.backend.ahead(wanted)
    waits(stage)
    stage_files(wanted)
    run = stage.backend.start(wanted)
    assert [line.text for line in run.lines()] == ["['training'] "]
    assert run.wait(PATIENCE) == 7
    assert len(containers_of(stage)) == 1


def test_what_was_begun_and_is_not_wanted_leaves_nothing(
    stage: DockerStage, tmp_path: Path
) -> None:
    stage.backend.ahead(spec(tmp_path))
    stage.backend.abandon("ahead")
    assert containers_of(stage) == []
    stage.backend.abandon("ahead")


def test_to_abandon_what_was_started_changes_nothing(stage: DockerStage, tmp_path: Path) -> None:
    wanted = spec(tmp_path)
    stage.backend.ahead(wanted)
    stage_files(wanted)
    run = stage.backend.start(wanted)
    stage.backend.abandon("ahead")
    assert run.wait(PATIENCE) == 7


def test_cleaning_removes_what_waits_at_its_gate(stage: DockerStage, tmp_path: Path) -> None:
    stage.backend.ahead(spec(tmp_path))
    stage.backend.clean(frozenset())
    assert containers_of(stage) == []


def test_what_a_killed_emulator_had_begun_is_removed_by_the_next(
    stage: DockerStage, tmp_path: Path
) -> None:
    tests = str(Path(__file__).parents[1])
    emulator = subprocess.Popen([sys.executable, "-c", BEGINS, str(tmp_path), tests])
    try:
        waits(stage)
    finally:
        os.kill(emulator.pid, signal.SIGKILL)
        emulator.wait()
    stage.restarted().clean(frozenset())
    assert containers_of(stage) == []


def test_a_container_that_was_stopped_at_its_gate_is_started_anew(
    stage: DockerStage, tmp_path: Path
) -> None:
    wanted = spec(tmp_path)
    stage.backend.ahead(wanted)
    waits(stage)
    (begun,) = containers_of(stage)
    stage.engine.client.api.kill(begun["Id"])
    stage.engine.client.api.wait(begun["Id"])
    stage_files(wanted)
    run = stage.backend.start(wanted)
    assert run.wait(PATIENCE) == 7
    assert len(containers_of(stage)) == 1


def test_a_container_whose_engine_was_restarted_at_its_gate_is_started_anew(
    stage: DockerStage, mortal: Daemon, engine: Engine, tmp_path: Path
) -> None:
    mortal.load(engine, TAG)
    with contextlib.closing(Engine.connect(f"unix://{mortal.socket}")) as theirs:
        there = DockerStage(tmp_path / "there", DockerBackend(theirs, tmp_path / "there"))
        there.engine = theirs
        wanted = spec(tmp_path / "there")
        there.backend.ahead(wanted)
        waits(there)
        mortal.stop()
        starting = threading.Timer(0.5, mortal.start)
        starting.start()
        stage_files(wanted)
        run = there.backend.start(wanted)
        starting.join()
        assert run.wait(PATIENCE) == 7
        there.backend.clean(frozenset())


def test_what_is_not_ours_is_not_started_ahead(docker_stage: DockerStage) -> None:
    docker_stage.backend.ahead(docker_stage.spec(docker_stage.play().prints("x")))
    assert containers_of(docker_stage) == []


@pytest.fixture(autouse=True)
def _nothing_is_left(docker_stage: DockerStage) -> Iterator[None]:
    yield
    docker_stage.backend.clean(frozenset())
    assert containers_of(docker_stage) == []
