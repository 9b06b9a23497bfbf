"""Framework environments: what stands for an image, built once and then shared by all runs.

An environment is a virtual environment made by uv from pinned requirements, with the toolkit in
it. It counts once its marker is there, which is written last: what a killed build left behind is
built again.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uv

from sagedock.backends.base import Tell
from sagedock.backends.interpreters import find_interpreter, install_interpreter
from sagedock.backends.locks import locked
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.errors import RunFailedToStart

LAYOUT = 1
"""Raised when environments built by an earlier sagedock no longer do."""

_MARKER = ".complete"
_CONSTRAINTS = "constraints.txt"
_LAST_LINES = 12
_PROGRESS = ("Resolved", "Downloading", "Downloaded", "Prepared", "Installed", "Bytecode")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a family's environment is made: requirements by Python version, the best Python first,
    and the module whose import shows that it works."""

    requirements: tuple[tuple[str, str], ...]
    probe: str = ""
    fallback: str = ""

    @property
    def pythons(self) -> tuple[str, ...]:
        return tuple(python for python, _ in self.requirements)


RECIPES = {
    "mxnet": Recipe(
        requirements=(
            *((python, "mxnet-cpu.txt") for python in ("3.11", "3.10", "3.9", "3.8")),
            ("3.12", "mxnet-cpu-py312.txt"),
        ),
        probe="mxnet",
        fallback="3.12",
    ),
    "python": Recipe(
        requirements=tuple(
            (python, "python.txt") for python in ("3.11", "3.10", "3.9", "3.8", "3.12", "3.13")
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Framework:
    """An environment that is ready."""

    family: str
    python_version: str
    path: Path

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def python(self) -> Path:
        return self.bin / "python"

    @property
    def site_packages(self) -> Path:
        return self.path / "lib" / f"python{self.python_version}" / "site-packages"

    @property
    def constraints(self) -> Path | None:
        """A pip constraints file: nothing newer than what is here."""
        path = self.path / _CONSTRAINTS
        return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class FrameworkStatus:
    """`path` is where the environment is or will be; `size_bytes` is 0 where it is not built."""

    family: str
    python_version: str
    path: Path
    size_bytes: int
    ready: bool


class Frameworks:
    """The environments in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uv = Path(uv.find_uv_bin())
        self._installed: dict[Path, object] = {}

    @functools.cached_property
    def toolkit(self) -> ToolkitSource:
        return ToolkitSource()

    def ensure(self, family: str, tell: Tell) -> Framework:
        """The environment of `family`, built now when it is not there. Raises RunFailedToStart with
        a sentence that says what is missing."""
        framework = self.ready(family) or self._build(family, tell)
        now = self.toolkit.fingerprint()
        if self._installed.get(framework.path) != now:
            with locked(self._lock_file(framework)) as lock:
                self.toolkit.install(framework.site_packages, framework.python, lock)
            self._installed[framework.path] = now
        return framework

    def ready(self, family: str) -> Framework | None:
        """The environment of `family` if it is built; a look at a few files."""
        return next(filter(_is_ready, self._possible(family)), None)

    def status(self) -> list[FrameworkStatus]:
        """One entry per family: its environment, or the one it would get."""
        found = []
        for family in RECIPES:
            framework = self.ready(family)
            if framework is not None:
                told = json.loads((framework.path / _MARKER).read_text(encoding="utf-8"))
                size = int(told["size_bytes"])
                version, path = framework.python_version, framework.path
                found.append(FrameworkStatus(family, version, path, size, True))
            else:
                first = next(self._possible(family))
                version, path = first.python_version, first.path
                found.append(FrameworkStatus(family, version, path, 0, False))
        return found

    def _possible(self, family: str) -> Iterator[Framework]:
        for python in RECIPES[family].pythons:
            digest = hashlib.sha256(f"{LAYOUT}\n{_requirements(family, python)}".encode())
            name = f"{family}-py{python}-{digest.hexdigest()[:12]}"
            yield Framework(family, python, self.root / name)

    def _lock_file(self, framework: Framework) -> Path:
        return self.root / f".{framework.path.name}.lock"

    def _build(self, family: str, tell: Tell) -> Framework:
        _raise_without_wheel(family)
        framework, interpreter = self._choose(family, tell)
        with locked(self._lock_file(framework)) as lock:
            if _is_ready(framework):
                return framework
            try:
                Build(framework, interpreter, self.uv, lock, tell).run(self.toolkit)
            except OSError as error:
                raise RunFailedToStart(
                    f"The environment {framework.path} could not be built: {error}. Free some "
                    "space, or name another folder with SAGEDOCK_FRAMEWORKS."
                ) from error
        return framework

    def _choose(self, family: str, tell: Tell) -> tuple[Framework, Path]:
        recipe = RECIPES[family]
        for framework in self._possible(family):
            interpreter = find_interpreter(framework.python_version, self.uv)
            if interpreter is not None:
                if framework.python_version == recipe.fallback:
                    tell(
                        f"No Python 3.8 to 3.11 was found: {family} runs on Python "
                        f"{recipe.fallback}, with a newer NumPy and what it misses there supplied."
                    )
                return framework, interpreter
        best = next(self._possible(family))
        tell(f"No Python {' or '.join(recipe.pythons)} on this machine: asking uv for one")
        refused = install_interpreter(best.python_version, self.uv)
        interpreter = find_interpreter(best.python_version, self.uv)
        if interpreter is None:
            raise RunFailedToStart(
                f"The {family} environment needs Python {best.python_version} (or "
                f"{', '.join(recipe.pythons[1:])}), and none was found on PATH, with pyenv or uv; "
                f"uv could not fetch one ({refused}). Install Python {best.python_version}."
            )
        return best, interpreter


@dataclass(frozen=True, slots=True)
class Build:
    """The making of one environment, in place: virtual environments cannot be moved."""

    framework: Framework
    interpreter: Path
    uv: Path
    lock: int
    tell: Tell

    def run(self, toolkit: ToolkitSource) -> None:
        """Raises RunFailedToStart with uv's own last lines."""
        start, framework = time.monotonic(), self.framework
        name, version = framework.family, framework.python_version
        self.tell(f"Building the {name} environment on Python {version} (once): {framework.path}")
        shutil.rmtree(framework.path, ignore_errors=True)
        self._uv("venv", "--no-project", "--python", str(self.interpreter), str(framework.path))
        pins = _pins(_requirements(name, version))
        if pins:
            self.tell(f"Installing {', '.join(pins)}")
            self._install(pins)
        toolkit.install(framework.site_packages, framework.python, self.lock)
        self._probe()
        size = _size_bytes(framework.path)
        marker = {"built_at": int(time.time()), "size_bytes": size}
        (framework.path / _MARKER).write_text(json.dumps(marker), encoding="utf-8")
        seconds = time.monotonic() - start
        self.tell(f"The {name} environment is ready: {size / 1e6:.0f} MB in {seconds:.1f} s")

    def _install(self, pins: list[str]) -> None:
        """Bytecode is compiled now: the first import of MXNet otherwise takes 0.3 s longer in each
        run, for runs write none."""
        wanted = self.framework.path / "requirements.txt"
        wanted.write_text("\n".join(pins) + "\n", encoding="utf-8")
        python = ("--python", str(self.framework.python))
        self._uv("pip", "install", *python, "--compile-bytecode", "-r", str(wanted))
        bounds = "".join(pin.replace("==", "<=") + "\n" for pin in pins)
        (self.framework.path / _CONSTRAINTS).write_text(bounds, encoding="utf-8")

    def _uv(self, *arguments: str) -> None:
        """Run uv under the user's own configuration, telling what it tells."""
        # In a folder of ours: uv reads the pyproject.toml and uv.toml of where it runs.
        command = (str(self.uv), "--color", "never", *arguments)
        lines = []
        with subprocess.Popen(
            command,
            cwd=self.framework.path.parent,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=(self.lock,),
        ) as process:
            assert process.stderr is not None
            for line in map(str.strip, process.stderr):
                lines.append(line)
                if line.startswith(_PROGRESS):
                    self.tell(line)
        if process.returncode != 0:
            last = " | ".join(filter(None, lines[-_LAST_LINES:]))
            raise RunFailedToStart(
                f"uv could not make the {self.framework.family} environment. It needs a package "
                f"index, configured for uv (uv.toml or UV_* variables; it does not read pip's "
                f"configuration). uv said: {last}"
            )

    def _probe(self) -> None:
        """MXNet's wheel needs libgomp of the system, and an import is the honest test."""
        module = RECIPES[self.framework.family].probe
        if not module:
            return
        self.tell(f"Trying `import {module}`")
        command = (self.framework.python, "-c", f"import {module}")
        environment = {"SAGEDOCK_TOOLKIT_START": "1", "PATH": "/usr/bin:/bin"}
        tried = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd="/"
        )
        if tried.returncode != 0:
            last = next(reversed(tried.stderr.strip().splitlines()), "no message")
            hint = " Install libgomp1 (apt) or libgomp (dnf)." if "libgomp" in last else ""
            raise RunFailedToStart(f"`import {module}` fails in its environment: {last}.{hint}")


def _raise_without_wheel(family: str) -> None:
    """MXNet 1.9.1 has wheels for Linux on x86_64 and aarch64, and for Intel Macs."""
    system, machine = platform.system(), platform.machine()
    has_wheel = system == "Linux" and machine in ("x86_64", "aarch64")
    if family == "mxnet" and not has_wheel and (system, machine) != ("Darwin", "x86_64"):
        raise RunFailedToStart(
            f"MXNet 1.9.1 was never published for {system} on {machine}, so the process backend "
            "cannot run it here; the Docker backend can (--backend docker)."
        )


def _is_ready(framework: Framework) -> bool:
    """Its interpreter may have been uninstalled since: the link then leads nowhere."""
    return (framework.path / _MARKER).exists() and framework.python.exists()


@functools.cache
def _requirements(family: str, python: str) -> str:
    """Text of the requirements file, from the wheel or from the checkout."""
    name = dict(RECIPES[family].requirements)[python]
    in_wheel = Path(__file__).parent / "requirements"
    in_checkout = Path(__file__).parents[3] / "containers" / "mxnet" / "requirements"
    folder = in_wheel if in_wheel.is_dir() else in_checkout
    return (folder / name).read_text(encoding="utf-8")


def _pins(requirements: str) -> list[str]:
    lines = (line.strip() for line in requirements.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _size_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
