"""Python interpreters of this machine, for framework environments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def find_interpreter(version: str, uv: Path) -> Path | None:
    """An interpreter of `version` ("3.11") that really starts: our own, one on PATH, one of pyenv,
    or one that uv knows of."""
    for candidate in _candidates(version):
        if _version(candidate) == version:
            return candidate
    command = (uv, "python", "find", "--no-python-downloads", "--no-project", version)
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    path = Path(found.stdout.strip())
    return path if found.returncode == 0 and _version(path) == version else None


def install_interpreter(version: str, uv: Path) -> str | None:
    """Let uv fetch one; None when that worked, else uv's last line."""
    command = (uv, "python", "install", version)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    if done.returncode == 0:
        return None
    return next(reversed(done.stderr.strip().splitlines()), "uv said nothing").strip()


def bundled_pip(interpreter: Path) -> Path | None:
    """The wheel of pip that an interpreter carries for venv; Debian's does without python3-venv."""
    code = "import ensurepip; print(ensurepip.__file__)"
    asked = subprocess.run(
        (interpreter, "-I", "-c", code), capture_output=True, text=True, check=False, cwd="/"
    )
    if asked.returncode != 0:
        return None
    wheels = Path(asked.stdout.strip()).parent.glob("_bundled/pip-*.whl")
    return next(iter(sorted(wheels, reverse=True)), None)


def _candidates(version: str) -> Iterator[Path]:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == version:
        yield Path(sys.executable)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)


def _version(path: Path) -> str | None:
    """What it says itself: pyenv's shims are on PATH also for versions that are not selected."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        asked = subprocess.run(
            (path, "-I", "-S", "-c", code), capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None
