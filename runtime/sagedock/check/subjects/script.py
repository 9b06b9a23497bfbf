"""The files that a job would run: the entry point and what it imports from its own folder."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sagedock.check.subjects.module import Import, Module
from sagedock.errors import CheckError

DEFAULT_ENTRY_POINT = "train.py"
SERVING_MODULE = "inference.py"
"""What MXNet's images from 1.4 on serve where no entry point is named (handler_service.py)."""


@dataclass(frozen=True)
class Script:
    """`root` is the source folder; `modules` begins with the entry point. For a single file, its
    neighbours stand for what `dependencies` of an estimator would add."""

    root: Path
    modules: tuple[Module, ...]
    is_folder: bool
    requirements: str | None

    @property
    def entry(self) -> Module:
        return self.modules[0]

    @property
    def served(self) -> tuple[Module, ...]:
        """Modules that are asked for model_fn and its like."""
        inference = self.root / SERVING_MODULE
        return (self.entry, *(m for m in self.modules[1:] if m.path == inference))

    @property
    def is_readable(self) -> bool:
        return all(module.tree is not None for module in self.modules)

    def has_local(self, package: str) -> bool:
        """Whether `import package` finds a file or folder of the source folder."""
        return (self.root / f"{package}.py").is_file() or (self.root / package).is_dir()


def read(path: Path, entry_point: str | None = None) -> list[Script]:
    """The scripts at `path`: a file, or a folder with its entry point.

    A folder without `entry_point` is asked for train.py; without one, every train.py below it is
    a script of its own. Raises CheckError with a sentence where there is nothing to check.
    """
    if path.is_file():
        if entry_point:
            raise CheckError(
                f"--entry-point goes with a folder, and {path} is a file. Leave it out."
            )
        return [_script(path, path.parent, is_folder=False)]
    if not path.is_dir():
        raise CheckError(f"{path} does not exist.")
    if entry_point:
        file = path / entry_point
        if not file.is_file():
            raise CheckError(f"{path} has no entry point {entry_point}. There are {_listed(path)}.")
        return [_script(file, path, is_folder=True)]
    entries = _entries(path)
    if not entries:
        raise CheckError(
            f"Which file of {path} is run? There is no {DEFAULT_ENTRY_POINT}; name it with "
            f"--entry-point. There are {_listed(path)}."
        )
    return [_script(entry, entry.parent, is_folder=True) for entry in entries]


def _entries(folder: Path) -> list[Path]:
    if (folder / DEFAULT_ENTRY_POINT).is_file():
        return [folder / DEFAULT_ENTRY_POINT]
    found = sorted(folder.rglob(DEFAULT_ENTRY_POINT))
    return [path for path in found if not _is_hidden(path.relative_to(folder))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "site-packages" for part in path.parts)


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.py"))
    return ", ".join(names) if names else "no Python files"


def _script(entry: Path, root: Path, *, is_folder: bool) -> Script:
    if entry.suffix != ".py" and not _is_program(entry):
        raise CheckError(f"{entry} is no Python file; the static rules read Python entry points.")
    modules: dict[Path, Module] = {}
    waiting = [entry]
    if is_folder and (root / SERVING_MODULE).is_file():
        waiting.append(root / SERVING_MODULE)
    while waiting:
        path = waiting.pop(0)
        if path in modules:
            continue
        modules[path] = _read_module(path)
        waiting += [found for i in modules[path].imports for found in _local(i, path, root)]
    requirements = root / "requirements.txt"
    text = (
        requirements.read_text(encoding="utf-8", errors="replace")
        if requirements.is_file()
        else None
    )
    return Script(root, tuple(modules.values()), is_folder, text)


def _is_program(path: Path) -> bool:
    """Whether it is a Python program under a command's name, as `train` and `serve` of a
    container of one's own are."""
    with path.open("rb") as file:
        first = file.readline(200)
    return not path.suffix and bool(re.match(rb"#!.*\bpython", first))


def _read_module(path: Path) -> Module:
    try:
        with tokenize.open(path) as file:
            text = file.read()
    except (SyntaxError, UnicodeDecodeError):  # an encoding nobody knows, or another than declared
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise CheckError(f"{path} cannot be read: {error.strerror}.") from error
    return Module(path, path.as_posix(), text)


def _local(found: Import, importer: Path, root: Path) -> Iterator[Path]:
    """Files of the source folder that this import reads."""
    if found.level > len(importer.relative_to(root).parts):
        return  # above the source folder, which is all that goes into a job
    base = root if not found.level else importer.parents[found.level - 1]
    parts = [part for part in found.module.split(".") if part]
    place = base.joinpath(*parts)
    candidates = [place.with_suffix(".py"), place / "__init__.py"] if parts else []
    candidates += [place / f"{name}.py" for name in found.names if re.fullmatch(r"\w+", name)]
    candidates += [base.joinpath(*parts[:n]) / "__init__.py" for n in range(1, len(parts))]
    yield from (path for path in candidates if path.is_file())
