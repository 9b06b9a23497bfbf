from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from journeys.traveller import Traveller
from requests_as_sdks_send import PATIENCE
from sagedock import Emulator
from sagedock.cli import main

Told = subprocess.CompletedProcess[str]
Sagedock = Callable[..., Told]


@pytest.fixture
def sagedock(tmp_path: Path, frameworks: Path) -> Sagedock:
    """sagedock("env", "--json", env={…}); its home is of the test unless named. In this process,
    which saves the start of a Python, but for what handles signals and other programs."""

    def call(*words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Told:
        settings = {
            "SAGEDOCK_HOME": str(tmp_path / "home"),
            "SAGEDOCK_FRAMEWORKS": str(frameworks),
            **(env or {}),
        }
        if words[0] in ("run", "serve"):
            return _as_process(words, {**os.environ, **settings}, stdin)
        result = CliRunner(env=settings).invoke(main, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Told(words, result.exit_code, result.stdout, result.stderr)

    return call


def _as_process(words: tuple[str, ...], environment: Mapping[str, str], stdin: str) -> Told:
    return subprocess.run(
        [sys.executable, "-m", "sagedock", *words],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def here(sagedock: Sagedock, emulator: Emulator) -> Sagedock:
    """The same on the home of the module's running emulator."""

    def call(*words: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Told:
        home = {"SAGEDOCK_HOME": str(emulator.settings.home)}
        return sagedock(*words, env={**home, **(env or {})}, stdin=stdin)

    return call


@pytest.fixture(scope="module")
def traveller(emulator: Emulator) -> Traveller:
    """A user of the module's emulator, with data and scripts in a bucket."""
    return Traveller(emulator.client_kwargs).settle_in()
