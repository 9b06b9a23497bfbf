"""Our images in SageMaker's own local mode: SDK v2, `instance_type="local"`, and no emulator."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.client_environments import CannotBuild, client_environment
from sagedock.backends.docker import builds
from sagedock.backends.docker.engine import Engine
from sagedock.domain.images import MXNET
from sagedock.errors import EngineUnavailable

pytestmark = [pytest.mark.docker, pytest.mark.sdk, pytest.mark.slow]

PROGRAM = Path(__file__).parent / "programs" / "local_mode.py"
NO_AWS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    # Nobody listens there: what asks AWS for anything fails at once.
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


@pytest.fixture(scope="module")
def image() -> str:
    if shutil.which("docker-compose") is None and not _has_compose():
        pytest.skip("local mode needs docker compose")
    try:
        return builds.ensure(Engine.connect(), MXNET, "cpu", print)
    except EngineUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return client_environment("sdk-v2-local") / "python"
    except CannotBuild as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def _clean_engine(tmp_path: Path) -> Iterator[None]:
    """The SDK leaves its containers where they ended, and its compose files in TMPDIR. Others run
    local mode on the engine at the same time."""
    yield
    label = "com.docker.compose.project.working_dir"
    told = subprocess.run(
        ["docker", "ps", "--all", "--format", f'{{{{.ID}}}} {{{{.Label "{label}"}}}}'],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in told.stdout.splitlines():
        container, _, folder = line.partition(" ")
        if Path(folder).is_relative_to(tmp_path):
            subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True)


def _has_compose() -> bool:
    asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    return asked.returncode == 0


def run(python: Path, image: str, hosts: int, folder: Path) -> str:
    command = [str(python), str(PROGRAM), image, str(hosts), str(folder)]
    ended = subprocess.run(
        command,
        env={**os.environ, **NO_AWS, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def test_fit_deploy_and_predict(python: Path, image: str, tmp_path: Path) -> None:
    said = run(python, image, 1, tmp_path)

    assert "worker 0 of 1: loss 0.0000" in said
    assert f"model at file://{tmp_path}/output/model.tar.gz" in said
    assert "predicted [[1.99" in said or "predicted [[2.0" in said
    assert (tmp_path / "output" / "model.tar.gz").stat().st_size > 100


def test_two_hosts_train_through_the_parameter_server(
    python: Path, image: str, tmp_path: Path
) -> None:
    said = run(python, image, 2, tmp_path)

    assert "worker 0 of 2: loss 0.0000" in said
    assert "worker 1 of 2: loss 0.0000" in said
