"""What a project says of its checks: `[tool.sagedock.check]` of pyproject.toml, `[check]` of
sagedock.toml."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagedock.check.wanted import Wanted, wanted_of
from sagedock.errors import CheckError


@dataclass(frozen=True, slots=True)
class Configuration:
    """Rule ids or their beginnings, None where nothing is said; and the target, which is empty
    where none is declared. `file` is where it stood."""

    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    warn: tuple[str, ...] = ()
    target: Wanted = field(default_factory=Wanted)
    file: str = ""


def configured(start: Path) -> Configuration:
    """Of the nearest folder, from `start` upwards, whose sagedock.toml or pyproject.toml has such
    a table. Raises CheckError for a table that means nothing."""
    folder = (start if start.is_dir() else start.parent).resolve()
    for place in (folder, *folder.parents):
        for name in _PLACES:
            if (place / name).is_file() and (found := configured_in(place / name)) is not None:
                return found
    return Configuration()


def configured_in(file: Path) -> Configuration | None:
    """Of this file; None where it has no such table."""
    path = _PLACES.get(file.name, ("check",))
    table = _table(file, path)
    return None if table is None else _read(table, file)


_PLACES = {"sagedock.toml": ("check",), "pyproject.toml": ("tool", "sagedock", "check")}


def _table(file: Path, path: tuple[str, ...]) -> dict[str, Any] | None:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckError(f"{file} cannot be read: {error.strerror}.") from error
    document: Any = {}
    if f"[{'.'.join(path)}" not in text:
        return None
    if sys.version_info >= (3, 11):
        tomllib = importlib.import_module("tomllib")  # Most checks find no such table.
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CheckError(f"{file} is no TOML: {error}.") from error
    else:
        raise CheckError(
            f"{file} configures the check, and reading it needs Python 3.11: give options on the "
            "command line, and leave the table out."
        )
    for part in path:
        document = document.get(part, {})
    return document if isinstance(document, dict) else None


def _read(table: dict[str, Any], file: Path) -> Configuration:
    for name in ("select", "ignore", "warn"):
        value = table.get(name, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise CheckError(f'{file}: {name} is a list of rules, such as ["SD140"].')
    return Configuration(
        select=tuple(table["select"]) if "select" in table else None,
        ignore=tuple(table.get("ignore", ())),
        warn=tuple(table.get("warn", ())),
        target=wanted_of(table, file),
        file=str(file),
    )
