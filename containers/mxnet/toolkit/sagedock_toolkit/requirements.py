"""requirements.txt and setup.py of the user's code.

In an image they are installed with pip into the image's own Python, as AWS's toolkit does. The
process backend shares one framework environment between jobs, so there each list becomes a *layer*:
a folder of its own, built once below SAGEDOCK_LAYERS, with uv (SAGEDOCK_UV) or pip, and put on the
path.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sagedock_toolkit import child
from sagedock_toolkit.errors import CommandFailed, InstallModuleError, InstallRequirementsError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

log = logging.getLogger(__name__)

_CONTRADICTS = ("No solution found", "ResolutionImpossible", "conflicting dependencies")
"""What uv, and pip, say of requirements that exclude each other."""


def install(folder: str, name: str = "requirements.txt") -> str | None:
    """Install `name` of `folder` if it is there; the layer to put on the path, if there is one.

    Raises InstallRequirementsError with the installer's last lines.
    """
    if not os.path.isfile(os.path.join(folder, name)):
        return None
    return _install(folder, ["-r", name], InstallRequirementsError)


def install_package(folder: str) -> str | None:
    """Install the package of `folder` (setup.py) and its requirements.txt.

    Raises InstallModuleError with the installer's last lines.
    """
    listed = os.path.isfile(os.path.join(folder, "requirements.txt"))
    wanted = [".", *(["-r", "requirements.txt"] if listed else [])]
    return _install(folder, wanted, InstallModuleError)


def put_on_path(environ: MutableMapping[str, str], *folders: str | None) -> None:
    """Put `folders` first on the PYTHONPATH of `environ`, and a layer's programs on its PATH."""
    wanted = [folder for folder in folders if folder]
    environ["PYTHONPATH"] = os.pathsep.join([*wanted, *filter(None, [environ.get("PYTHONPATH")])])
    programs = [f for f in (os.path.join(folder, "bin") for folder in wanted) if os.path.isdir(f)]
    if programs:
        environ["PATH"] = os.pathsep.join([*programs, environ.get("PATH", os.defpath)])


def _install(folder: str, wanted: Sequence[str], failure: type[CommandFailed]) -> str | None:
    if os.environ.get("SAGEDOCK_LAYERS"):
        return _layer(folder, wanted, failure)
    _run([sys.executable, "-m", "pip", "install", *wanted], folder, failure)
    return None


def _layer(folder: str, wanted: Sequence[str], failure: type[CommandFailed]) -> str:
    """The layer's folder; built by the first job that needs it, while others of the kind wait."""
    import fcntl
    import shutil
    import tempfile

    layers = os.environ["SAGEDOCK_LAYERS"]
    os.makedirs(layers, exist_ok=True)
    layer = os.path.join(layers, _key(folder, wanted))
    with open(layer + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.isdir(layer):
            log.info("Requirements: the layer %s has them already", layer)
            return layer
        building = tempfile.mkdtemp(prefix=".building-", dir=layers)
        try:
            _build(building, folder, wanted, failure)
            os.rename(building, layer)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return layer


def _build(building: str, folder: str, wanted: Sequence[str], failure: type[CommandFailed]) -> None:
    """Install into `building`.

    pip keeps what is installed already unless a requirement excludes it, and so does this: the
    environment's versions hold (a second, newer NumPy would break MXNet), else all but those of the
    packages that requirements.txt names, else none.
    """
    uv, target = os.environ.get("SAGEDOCK_UV"), ("--target", building)
    pip = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    python = ("--python", sys.executable) if uv else ()
    command = [*pip, "install", *python, *target, *wanted]
    installed = dict(_installed())
    named = set(_named(os.path.join(folder, "requirements.txt")))
    others = {name: version for name, version in installed.items() if name not in named}
    for pins in (installed, others):
        try:
            return _run_pinned(command, pins, folder, failure)
        except CommandFailed as error:
            if not any(words in error.said for words in _CONTRADICTS):
                raise
            log.info("Requirements: these contradict versions that are installed; trying others")
    return _run(command, folder, failure)


def _run_pinned(
    command: Sequence[str], pins: dict[str, str], folder: str, failure: type[CommandFailed]
) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.writelines(f"{name}=={version}\n" for name, version in pins.items())
        file.flush()
        _run([*command, "--constraint", file.name], folder, failure)


def _installed() -> Iterator[tuple[str, str]]:
    """The environment's packages and versions; local builds ("1.0+cpu") are on no index."""
    from importlib import metadata

    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        if name and version and "+" not in version:
            yield _normal(name), version


def _named(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", line)
                if name:
                    yield _normal(name.group(1))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _key(folder: str, wanted: Sequence[str]) -> str:
    """What makes two layers the same: Python, platform, and the list or, where it points at files
    beside it, every file of the user's code."""
    digest = hashlib.sha256()
    digest.update(f"{sys.version_info[:3]} {sys.platform} {os.uname().machine}".encode())
    digest.update(sys.prefix.encode())
    files = ["requirements.txt"]
    if "." in wanted or _points_at_files(os.path.join(folder, wanted[-1])):
        files = sorted(_files(folder))
    for name in [*files, *(w for w in wanted if w.endswith(".txt") and w not in files)]:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                digest.update(name.encode() + b"\0" + file.read())
    return digest.hexdigest()


def _points_at_files(path: str) -> bool:
    with open(path, encoding="utf-8", errors="replace") as file:
        return any(re.search(r"^\s*(-|\.|/)|file:|\.whl|\.tar", line) for line in file)


def _files(folder: str) -> Iterator[str]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(where, name), folder)


def _run(command: Sequence[str], folder: str, failure: type[CommandFailed]) -> None:
    log.info("Installing: %s", " ".join(command))
    code, said = child.run(command, cwd=folder)
    if code:
        raise failure(command, code, said)
