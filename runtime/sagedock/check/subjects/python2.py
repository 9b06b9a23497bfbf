"""Python 2 code, found by its tokens where no Python 3 parses the file."""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column count from 1."""

    line: int
    column: int
    told: str


_LINES = (
    (re.compile(r"^\s*(print)\s+(?![=.,)\[(]|in\b|if\b)\S"), "print is a function in Python 3"),
    (re.compile(r"^\s*(print)\s*>>\s*\w"), "print is a function in Python 3"),
    (re.compile(r"^\s*(print)\s*\(.*\)\s*%\s*\S"), "print is a function in Python 3"),
    (
        re.compile(r"^\s*(except)\s+[\w.()]+(\s*,\s*[\w.]+)*\s*,\s*\w+\s*:"),
        "`except X, e` is now `except X as e`",
    ),
    (re.compile(r"^\s*(raise)\s+[\w.]+\s*,\s*\S"), "`raise X, text` is now `raise X(text)`"),
    (re.compile(r"^\s*(exec)\s+[\"'\w]"), "exec is a function in Python 3"),
    (re.compile(r"(?<![\w.])(\d+[lL])\b"), "long numbers need no L in Python 3"),
    (re.compile(r"(?<![\w.])(0\d+)\b(?![.eE\d])"), "octal numbers begin with 0o in Python 3"),
    (re.compile(r"(<>)"), "`<>` is now `!=`"),
    (re.compile(r"(?<![\w.])(ur[\"'])"), "there are no ur-strings in Python 3"),
)


def places(text: str) -> list[Place]:
    """Everything that only Python 2 takes, line by line; empty where the error is of another
    kind. Texts and comments are left out."""
    found = []
    for number, line in enumerate(_without_texts(text), start=1):
        for pattern, told in _LINES:
            match = pattern.search(line)
            if match is not None:
                found.append(Place(number, match.start(1) + 1, told))
                break
    return found


def _without_texts(text: str) -> list[str]:
    """The lines with every string and comment as blanks, but for its quotes."""
    lines = text.splitlines()
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.STRING, tokenize.COMMENT):
                _blank(lines, token)
    except (tokenize.TokenError, SyntaxError):
        return lines  # as far as it got: an unclosed bracket ends the tokens
    return lines


def _blank(lines: list[str], token: tokenize.TokenInfo) -> None:
    (first, begin), (last, end) = token.start, token.end
    if token.type == tokenize.STRING:
        prefix = len(token.string) - len(token.string.lstrip("rRbBuUfF"))
        begin, end = begin + prefix + 1, end - 1
    for number in range(first, min(last, len(lines)) + 1):
        line = lines[number - 1]
        left = begin if number == first else 0
        right = end if number == last else len(line)
        lines[number - 1] = line[:left] + "x" * max(0, right - left) + line[right:]
