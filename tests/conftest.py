"""A real emulator on a free port with a home of its own, and real clients for it.

Framework environments are built once and kept in `.sagedock-test/` of the checkout (or where
SAGEDOCK_FRAMEWORKS says), since they cost seconds and hold nothing of a test's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from sagedock import Emulator
from sagedock.backends.frameworks import Frameworks

ROOT = Path(__file__).parents[1]
FRAMEWORKS = Path(
    os.environ.get("SAGEDOCK_FRAMEWORKS", ROOT / ".sagedock-test" / "frameworks")
).absolute()


def pytest_configure() -> None:
    """SAGEDOCK_TEST_ALL=1 (CI sets it): the toolkit's own tests run with MXNet too, on the Python
    of the environment that jobs get. Before collection, for skips are decided there."""
    if os.environ.get("SAGEDOCK_TEST_ALL") and not os.environ.get("SAGEDOCK_TEST_MXNET_PYTHON"):
        mxnet = Frameworks(FRAMEWORKS).ensure("mxnet", lambda line: print(line, file=sys.stderr))
        os.environ["SAGEDOCK_TEST_MXNET_PYTHON"] = str(mxnet.python)


@pytest.fixture(autouse=True, scope="session")
def _no_aws_of_the_user() -> None:
    """No test may reach, or be led by, the account of whoever runs it. Nor by the machine's Docker
    engine, unless it asks for that: tests of the emulator are about processes."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SAGEDOCK_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["SAGEDOCK_BACKEND"] = "process"


@pytest.fixture(scope="session")
def frameworks() -> Path:
    return FRAMEWORKS


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, frameworks: Path) -> Iterator[Emulator]:
    """One emulator for the tests of a module."""
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, frameworks=frameworks, backend="process") as dock:
        yield dock


@pytest.fixture(scope="module")
def client(emulator: Emulator) -> Any:
    """client("s3") and so on, without retries: a test wants to see the first answer."""

    def make(service: str, **config: Any) -> Any:
        settings = Config(retries={"max_attempts": 0}, **config)
        return boto3.client(service, config=settings, **emulator.client_kwargs)

    return make
