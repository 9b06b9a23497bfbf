"""What Python 3.8, the last MXNet image's, does not take."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from sagedock.check.subjects.module import IMAGE_PYTHON, Module
from sagedock.check.subjects.python2 import Place

_MAYBE_NEWER = re.compile(r"\bwith\s*\(")
"""Python 3.13 does not refuse this form, for whichever version it is asked."""


def first_place(module: Module) -> Place | None:
    """The first thing that is newer, in a text that this Python parses; None where there is none.

    `with (open(path)):` is old: its parentheses belong to the expression. Parsers of 3.9 and later
    take them for the newer form even where they are asked for 3.8, so that a sign is put before
    them, with which only an expression can begin.
    """
    if module.error_in_image is None and not _MAYBE_NEWER.search(module.text):
        return None
    lines = module.text.splitlines(keepends=True)
    for line, column, is_newer in _parenthesized(module.text):
        if is_newer:
            told = "`with` takes several items in parentheses from Python 3.9 on"
            return Place(line, column + 1, told)
        shown = lines[line - 1]
        lines[line - 1] = f"{shown[:column]}+{shown[column:]}"
    try:
        ast.parse("".join(lines), feature_version=IMAGE_PYTHON)
    except SyntaxError as error:
        return Place(error.lineno or 1, max(error.offset or 1, 1), error.msg)
    return None


def _parenthesized(text: str) -> Iterator[tuple[int, int, bool]]:
    """Each `with (…):` that is one parenthesis: where it opens, and whether an `as` or a comma
    in it makes it the newer form: a tuple is no context manager."""
    try:
        read = tokenize.generate_tokens(io.StringIO(text).readline)
        tokens = [t for t in read if t.type not in (tokenize.NL, tokenize.COMMENT)]
    except (tokenize.TokenError, SyntaxError):
        return
    for index, token in enumerate(tokens):
        if token.string == "with" and tokens[index + 1].string == "(":
            length, words = _inside(tokens[index + 1 :])
            if tokens[index + 1 + length].string == ":":
                line, column = tokens[index + 1].start
                yield line, column, "as" in words or "," in words


def _inside(tokens: list[tokenize.TokenInfo]) -> tuple[int, set[str]]:
    """How long the parenthesis is that begins the tokens, and the words in it and in no other."""
    depth, words = 0, set()
    for count, token in enumerate(tokens, start=1):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if depth == 1:
            words.add(token.string)
        if not depth:
            return count, words
    return len(tokens), words
