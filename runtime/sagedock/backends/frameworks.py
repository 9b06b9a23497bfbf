"""Framework environments: what stands for an image, built once and then shared by all runs.

An environment is a virtual environment made by uv from pinned requirements, with the toolkit in
it. It counts once its marker is there, which is written last: what a killed build left behind is
built again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sagedock.backends.base import Tell
from sagedock.backends.framework_builds import Build, Framework
from sagedock.backends.interpreters import find_interpreter, install_interpreter
from sagedock.backends.locks import locked
from sagedock.backends.recipes import environment_name, raise_without_environment
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.domain.families import ImageFamily, builtin_families
from sagedock.errors import RunFailedToStart, StartupError


@dataclass(frozen=True, slots=True)
class FrameworkStatus:
    """`path` is where the environment is or will be; `size_bytes` is 0 where it is not built."""

    family: str
    python_version: str
    path: Path
    size_bytes: int
    ready: bool


class Frameworks:
    """The environments of `families` in the folder `root`."""

    def __init__(self, root: Path, families: tuple[ImageFamily, ...] = builtin_families()) -> None:
        self.root = root
        self._families = {family.name: family for family in families}
        self._installed: dict[Path, object] = {}

    @functools.cached_property
    def uv(self) -> Path:
        """The program that builds them. Imported only here: the emulator's own image leaves uv out,
        since the docker backend builds no environments (runtime/Dockerfile). Raises StartupError
        where it is missing."""
        try:
            from uv import find_uv_bin

            return Path(find_uv_bin())
        except (ImportError, FileNotFoundError) as error:
            raise StartupError(
                "The program uv, which builds environments for user code, is missing from this "
                "installation: `pip install --force-reinstall uv` brings it back; with --backend "
                "docker it is not needed."
            ) from error

    @functools.cached_property
    def toolkit(self) -> ToolkitSource:
        return ToolkitSource()

    def ensure(self, family: str, tell: Tell) -> Framework:
        """The environment of `family`, built now when it is not there. Raises RunFailedToStart with
        a sentence that says what is missing."""
        try:
            framework = self.ready(family) or self._build(family, tell)
            now = self.toolkit.fingerprint()
            if self._installed.get(framework.path) != now:
                with locked(self._lock_file(framework)) as lock:
                    self.toolkit.install(framework.site_packages, framework.python, lock)
                self._installed[framework.path] = now
        except OSError as error:
            raise RunFailedToStart(
                f"The environments in {self.root} cannot be used: {error}. Free some space, make "
                "the folder yours, or name another one with SAGEDOCK_FRAMEWORKS."
            ) from error
        return framework

    def ready(self, family: str) -> Framework | None:
        """The environment of `family` if it is built; a look at a few files."""
        possible = self._possible(family)
        return next((framework for framework in possible if framework.is_ready), None)

    def status(self) -> list[FrameworkStatus]:
        """One entry per family that has one: its environment, or the one it would get."""
        having = (name for name, family in self._families.items() if family.environment.pythons)
        best = (self.ready(name) or next(self._possible(name)) for name in having)
        return [
            FrameworkStatus(
                family=framework.family.name,
                python_version=framework.python_version,
                path=framework.path,
                size_bytes=framework.size_bytes,
                ready=framework.is_ready,
            )
            for framework in best
        ]

    def _possible(self, name: str) -> Iterator[Framework]:
        family = self._families[name]
        for python in family.environment.pythons:
            yield Framework(family, python, self.root / environment_name(family, python))

    def _lock_file(self, framework: Framework) -> Path:
        return self.root / f".{framework.path.name}.lock"

    def _build(self, family: str, tell: Tell) -> Framework:
        raise_without_environment(self._families[family])
        framework, interpreter = self._choose(family, tell)
        waiting = f"Another process builds the {family} environment: waiting for it"
        with locked(self._lock_file(framework), lambda: tell(waiting)) as lock:
            if framework.is_ready:
                return framework
            Build(framework, interpreter, self.uv, lock, tell).run(self.toolkit)
        return framework

    def _choose(self, family: str, tell: Tell) -> tuple[Framework, Path]:
        recipe = self._families[family].environment
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
