"""Environments of clients that cannot share ours: the SageMaker SDKs and the AWS CLI.

Built once by uv into .sagedock-test/clients of the checkout, under a name that changes with the
requirements; workers of one test run wait for each other.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

from sagedock.backends.locks import locked
from sagedock.backends.package_index import uv_variables

REQUIREMENTS = Path(__file__).parent / "clients"
ENVIRONMENTS = Path(__file__).parents[2] / ".sagedock-test" / "clients"


class CannotBuild(Exception):
    """No package index, most likely."""


def client_environment(name: str) -> Path:
    """The `bin` folder of the environment of clients/<name>.txt. Raises CannotBuild, which is the
    reason to skip the test."""
    requirements = REQUIREMENTS / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(requirements.read_bytes() + version.encode()).hexdigest()[:10]
    folder = ENVIRONMENTS / f"{name}-py{version}-{digest}"
    done = folder / "installed"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with locked(ENVIRONMENTS / f"{folder.name}.lock"):
        if not done.exists():
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            python = str(folder / "bin" / "python")
            _uv("pip", "install", "--quiet", "--python", python, "-r", str(requirements))
            done.touch()
    return folder / "bin"


def _uv(*words: str) -> None:
    environment = {**os.environ, **uv_variables(os.environ, Path.home())}
    told = subprocess.run(
        [find_uv_bin(), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if told.returncode:
        reason = told.stderr.strip()[-400:]
        raise CannotBuild(f"the client's environment cannot be built: {reason}")
