"""select and ignore of a project: `[tool.sagedock.check]` of pyproject.toml, `[check]` of
sagedock.toml."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagedock.errors import CheckError

if sys.version_info >= (3, 11):
    import tomllib


@dataclass(frozen=True, slots=True)
class Configuration:
    """Rule ids or their beginnings; None where nothing is said. `file` is where it stood."""

    select: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    file: str = ""


def configured(start: Path) -> Configuration:
    """Of the nearest folder, from `start` upwards, whose sagedock.toml or pyproject.toml has such
    a table. Raises CheckError for a table that means nothing."""
    folder = (start if start.is_dir() else start.parent).resolve()
    for place in (folder, *folder.parents):
        for name, path in (("sagedock.toml", ("check",)), ("pyproject.toml", _TOOL)):
            file = place / name
            if file.is_file() and (table := _table(file, path)) is not None:
                return _read(table, file)
    return Configuration()


_TOOL = ("tool", "sagedock", "check")


def _table(file: Path, path: tuple[str, ...]) -> dict[str, Any] | None:
    text = file.read_text(encoding="utf-8")
    document: Any = {}
    if f"[{'.'.join(path)}]" not in text:
        return None
    if sys.version_info >= (3, 11):
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise CheckError(f"{file} is no TOML: {error}.") from error
    else:
        raise CheckError(
            f"{file} configures the check, and reading it needs Python 3.11: give --select and "
            "--ignore on the command line, and leave the table out."
        )
    for part in path:
        document = document.get(part, {})
    return document if isinstance(document, dict) else None


def _read(table: dict[str, Any], file: Path) -> Configuration:
    unknown = sorted(set(table) - {"select", "ignore"})
    if unknown:
        raise CheckError(f"{file}: the check knows select and ignore, not {unknown[0]}.")
    for name, value in table.items():
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise CheckError(f'{file}: {name} is a list of rules, such as ["SD140"].')
    select = tuple(table["select"]) if "select" in table else None
    return Configuration(select, tuple(table.get("ignore", ())), str(file))
