"""What an engine runs out of: disk, subnets, names."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from backends.byo import containers_of
from backends.stages import DockerStage
from daemons import Daemon, daemon, why_none
from requests_as_sdks_send import PATIENCE
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.surroundings import NoSight
from sagedock.errors import RunFailedToStart

pytestmark = pytest.mark.docker

FULL = "no space left on device"
TWO = ("algo-1", "algo-2")


@pytest.fixture(scope="module")
def small(engine: Engine) -> Iterator[Daemon]:
    """An engine whose disk is a small one."""
    if why_none():
        pytest.skip(why_none())
    with daemon() as made:
        made.stop()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600m", "none", str(made.folder / "data")],
            check=True,
        )
        made.start()
        made.load(engine, DockerStage.image)
        yield made


def stage_on(daemon: Daemon, folder: Path) -> DockerStage:
    engine = Engine.connect(f"unix://{daemon.socket}")
    stage = DockerStage(folder, DockerBackend(engine, folder))
    stage.engine = engine
    return stage


@contextlib.contextmanager
def full(daemon: Daemon) -> Iterator[None]:
    """The engine's disk has no room left, until the end of the block."""
    filler = daemon.folder / "data" / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 2**20)
            file.flush()
    try:
        yield
    finally:
        filler.unlink()


def test_an_engine_with_a_full_disk_says_so_and_starts_again_when_there_is_room(
    small: Daemon, tmp_path: Path
) -> None:
    stage = stage_on(small, tmp_path)
    with full(small):
        with pytest.raises(RunFailedToStart) as refused:
            stage.start(stage.play().prints("never"))
        assert FULL in str(refused.value)
        assert "docker system df" in str(refused.value)
        assert containers_of(stage) == []
    run = stage.start(stage.play().prints("there is room"))
    assert [line.text for line in run.lines()] == ["there is room"]
    stage.backend.clean(frozenset())


def test_a_run_on_a_disk_that_fills_up_ends_with_its_own_code(
    small: Daemon, tmp_path: Path
) -> None:
    stage = stage_on(small, tmp_path)
    fills = "open('/fill', 'wb').write(b'x' * 2**20)"
    run = stage.start(stage.play().prints("begun").waits().does(fills))
    first = next(run.lines())
    with full(small):
        (tmp_path / "run-1/ml/go").touch()
        assert run.wait(PATIENCE) == 1
        assert (run.lost, run.remark) == (False, "")
        # What it said while there was no room the engine has lost itself.
        assert first.text == "begun"
        list(run.lines(first.position))
    run.close()
    assert containers_of(stage) == []


def test_data_that_does_not_fit_on_the_engine_s_disk_says_so(small: Daemon, tmp_path: Path) -> None:
    stage = stage_on(small, tmp_path)
    assert isinstance(stage.backend, DockerBackend)
    stage.backend._seen = NoSight()
    with (stage.ml / "big").open("wb") as big:
        big.truncate(700 * 2**20)
    with pytest.raises(RunFailedToStart) as refused:
        stage.start(stage.play().prints("never"))
    assert "could not be copied to /opt/ml" in str(refused.value)
    assert FULL in str(refused.value)
    assert containers_of(stage) == []
    assert stage.engine.client.volumes.list() == []


# --- names and subnets -------------------------------------------------------------------------


@pytest.fixture
def stage(mortal: Daemon, tmp_path: Path) -> Iterator[DockerStage]:
    stage = stage_on(mortal, tmp_path)
    yield stage
    stage.backend.clean(frozenset())


@contextlib.contextmanager
def network(stage: DockerStage, name: str, subnet: str | None = None) -> Iterator[None]:
    pools = [IPAMPool(subnet=subnet)] if subnet else None
    made = stage.engine.client.networks.create(name, ipam=IPAMConfig(pool_configs=pools))
    try:
        yield
    finally:
        made.remove()


def test_where_no_subnet_is_free_a_job_of_two_hosts_is_refused_with_the_way_out(
    stage: DockerStage,
) -> None:
    with network(stage, "takes-all", "10.213.0.0/16"):
        with pytest.raises(RunFailedToStart, match=r"No subnet of 10\.213\.0\.0/16 is free"):
            stage.start(stage.play(), hosts=TWO, labels={"job": "two"})
        assert containers_of(stage) == []
        run = stage.start(stage.play().prints("alone"))
        assert [line.text for line in run.lines()] == ["alone"]


def test_a_subnet_that_is_taken_is_passed_over(stage: DockerStage) -> None:
    with network(stage, "takes-most", "10.213.0.0/17"):
        run = stage.start(stage.play().prints("found one"), hosts=TWO, labels={"job": "two"})
        assert [line.text for line in run.lines()] == ["found one"]
        run.close()


@pytest.mark.slow
def test_the_engine_s_own_address_pools_are_not_needed(stage: DockerStage) -> None:
    with contextlib.ExitStack() as taken:
        with pytest.raises(APIError, match="available, non-overlapping"):
            take_all(stage, taken)
        run = stage.start(stage.play().prints("has its own"), hosts=TWO, labels={"job": "two"})
        assert [line.text for line in run.lines()] == ["has its own"]
        run.close()


def take_all(stage: DockerStage, taken: contextlib.ExitStack) -> None:
    for number in itertools.count():
        taken.enter_context(network(stage, f"other-{number}"))


def test_a_name_that_somebody_else_s_container_has_is_told(stage: DockerStage) -> None:
    spec = stage.spec(stage.play().prints("x"))
    assert isinstance(stage.backend, DockerBackend)
    name = f"sagedock-{stage.backend._owner[:6]}-{spec.name}"
    box = stage.engine.client.containers.create(stage.image, ["true"], name=name)
    try:
        with pytest.raises(RunFailedToStart) as refused:
            stage.backend.start(spec)
        assert name in str(refused.value)
        assert "docker rm -f" in str(refused.value)
    finally:
        box.remove()
    run = stage.backend.start(spec)
    assert [line.text for line in run.lines()] == ["x"]
