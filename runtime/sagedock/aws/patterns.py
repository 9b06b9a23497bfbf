"""AWS's regular expressions, which are Java's, for Python's `re`.

Most mean the same in both. What differs: Unicode classes (`\\p{L}`), ranges written as surrogate
pairs, `\\z`, a class before a hyphen, and a quantified `$`. Where a class has no exact twin, ours
takes a little more than AWS's and never less.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Final

_SPACES: Final = r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_MARKS: Final = r"!-/:-@\[-`{-~\u00a1-\U0010ffff"

_CLASSES: Final = {
    "ASCII": r"\x00-\x7f",
    "Print": r"\x20-\x7e",
    "Alnum": "A-Za-z0-9",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "L": r"\w",
    "N": r"\w",
    "Z": _SPACES,
    "Zs": _SPACES,
    "M": _MARKS,
    "P": _MARKS,
    "S": _MARKS,
}

_EXPLOSIVE: Final = frozenset(
    {
        r"[a-z0-9]([-a-z0-9]*[a-z0-9]){0,39}?",  # ClusterSchedulerPriorityClassName
        r"https://([.\-_a-zA-Z0-9]+/?){3,1016}",  # RepositoryUrl
    }
)
"""Patterns in which one repetition may hold another of the same letters: a text of 60 characters
that does not match would keep Python busy for hours. None belongs to an operation we emulate."""

_TOKEN: Final = re.compile(
    r"(?P<pair>\\uD800\\uDC00-\\uDBFF\\uDFFF)"
    r"|\\p\{(?P<name>\w+)\}"
    r"|(?P<end>\\z)"
    r"|(?P<hyphen>\\[wds]-(?!\]))"
    r"|(?P<dollar>\$\{\d+,\d+\})"
    r"|(?P<escape>\\.)"
    r"|(?P<bracket>[\[\]])",
    re.DOTALL,
)


@cache
def compiled(pattern: str) -> re.Pattern[str] | None:
    """`pattern`, to be matched in full; None for one that Python cannot express, or not match
    in reasonable time. Those are not checked: refusing what AWS takes would be worse."""
    if pattern in _EXPLOSIVE:
        return None
    try:
        with warnings.catch_warnings():
            # `[[` and the like, which Python may come to read as set operations.
            warnings.simplefilter("ignore", FutureWarning)
            return re.compile(translated(pattern))
    except re.error:
        return None


def translated(pattern: str) -> str:
    """A Java pattern in Python's words. Raises re.error for a class that it does not know."""
    in_class = False

    def token(found: re.Match[str]) -> str:
        nonlocal in_class
        if bracket := found.group("bracket"):
            in_class = bracket == "["
            return bracket
        if found.group("pair"):
            return r"\U00010000-\U0010ffff"
        if found.group("end"):
            return r"\Z"
        if found.group("dollar"):
            return "$"
        if hyphen := found.group("hyphen"):
            return hyphen.replace("-", r"\-") if in_class else hyphen
        if name := found.group("name"):
            return _class(name, in_class)
        return found.group("escape")

    return _TOKEN.sub(token, pattern)


def _class(name: str, in_class: bool) -> str:
    if name not in _CLASSES:
        raise re.error(f"unknown class {name}")
    return _CLASSES[name] if in_class else f"[{_CLASSES[name]}]"
