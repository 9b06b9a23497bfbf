"""The making of one framework environment, with uv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sagedock.backends.base import Tell
from sagedock.backends.interpreters import bundled_pip
from sagedock.backends.package_index import uv_variables
from sagedock.backends.recipes import requirements
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.domain.families import ImageFamily
from sagedock.errors import RunFailedToStart

_MARKER = ".complete"
_CONSTRAINTS = "constraints.txt"
_LAST_LINES = 12
_PROGRESS = ("Resolved", "Downloading", "Downloaded", "Prepared", "Installed", "Bytecode")


@dataclass(frozen=True, slots=True)
class Framework:
    """A place for an environment."""

    family: ImageFamily
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

    @property
    def is_ready(self) -> bool:
        """Built to the end, and its interpreter was not uninstalled since (the link in bin/ then
        leads nowhere), nor is it another user's, in a home that this one may not enter."""
        return os.path.exists(self.path / _MARKER) and os.access(self.python, os.X_OK)

    @property
    def size_bytes(self) -> int:
        """As measured when it was built; 0 before."""
        marker = self.path / _MARKER
        return int(json.loads(marker.read_text("utf-8"))["size_bytes"]) if marker.exists() else 0


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
        family, version = framework.family, framework.python_version
        name = family.name
        self.tell(f"Building the {name} environment on Python {version} (once): {framework.path}")
        shutil.rmtree(framework.path, ignore_errors=True)
        self._uv("venv", "--no-project", "--python", str(self.interpreter), str(framework.path))
        pins = requirements(family, version)
        if pins:
            self.tell(f"Installing {', '.join(pins)}")
            self._install(pins)
        else:
            self._install_pip()
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

    def _install_pip(self) -> None:
        """From the interpreter's own copy, so that an environment without packages needs no
        package index; a system's Python without that copy leaves the environment without pip."""
        wheel = bundled_pip(self.interpreter)
        if wheel is not None:
            python = ("--python", str(self.framework.python))
            self._uv("pip", "install", *python, "--offline", "--no-index", "--no-deps", str(wheel))

    def _uv(self, *arguments: str) -> None:
        """Run uv under the user's own configuration, pip's included, telling what it tells."""
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
            env={**os.environ, **uv_variables(os.environ, Path.home())},
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
                f"uv could not make the {self.framework.family.name} environment; it needs a "
                "package index that it can reach (pip's configuration, uv.toml or UV_* variables "
                f"name another). uv said: {last}"
            )

    def _probe(self) -> None:
        """MXNet's wheel needs libgomp of the system, and an import is the honest test."""
        module = self.framework.family.environment.probe
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


def _size_bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*"))
