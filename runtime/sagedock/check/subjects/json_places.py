"""Where in a JSON text each value and each key stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from sagedock.errors import CheckError

Path = tuple[str | int, ...]
"""Keys and indexes that lead from the document to a value."""

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+)')


@dataclass(frozen=True)
class Document:
    """A parsed text: `value`, and the offset of each value and key by its path. `doubled` are keys
    that an object has twice, of which parsers keep the last."""

    text: str
    value: Any
    values: dict[Path, int]
    keys: dict[Path, int]
    doubled: tuple[Path, ...]

    def line_and_column(self, path: Path, *, of_key: bool = False) -> tuple[int, int]:
        """Where the value at `path` begins, or its key; for what is not there, what is around."""
        places = self.keys if of_key else self.values
        while path and path not in places:
            path, places = path[:-1], self.values
        offset = places.get(path, 0)
        before = self.text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def parsed(text: str, file: str) -> Document:
    """Raises CheckError, with the place, for a text that is no JSON."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckError(
            f"{file}:{error.lineno}:{error.colno}: this is no JSON: {error.msg}."
        ) from error
    except RecursionError as error:
        raise CheckError(f"{file} is nested too deeply.") from error
    walk = _Walk(text)
    walk.value(())
    return Document(text, value, walk.values, walk.keys, tuple(walk.doubled))


def pointer(path: Path) -> str:
    """The path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


class _Walk:
    """Over the tokens of a text that is known to be JSON."""

    def __init__(self, text: str) -> None:
        self._tokens = [(found.start(1), found[1]) for found in _TOKEN.finditer(text)]
        self._next = 0
        self.values: dict[Path, int] = {}
        self.keys: dict[Path, int] = {}
        self.doubled: list[Path] = []

    def value(self, path: Path) -> None:
        offset, token = self._take()
        self.values[path] = offset
        if token == "{":
            self._object(path)
        elif token == "[":
            self._list(path)

    def _object(self, path: Path) -> None:
        while self._tokens[self._next][1] != "}":
            offset, key = self._take()
            inner = (*path, json.loads(key))
            if inner in self.keys:
                self.doubled.append(inner)
            self.keys[inner] = offset
            self._take()  # the colon
            self.value(inner)
            self._pass_comma()
        self._take()

    def _list(self, path: Path) -> None:
        index = 0
        while self._tokens[self._next][1] != "]":
            self.value((*path, index))
            index += 1
            self._pass_comma()
        self._take()

    def _take(self) -> tuple[int, str]:
        self._next += 1
        return self._tokens[self._next - 1]

    def _pass_comma(self) -> None:
        if self._tokens[self._next][1] == ",":
            self._next += 1
