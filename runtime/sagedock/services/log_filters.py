"""CloudWatch Logs filter patterns for unstructured messages.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html: all terms must
be in the message, with `?` any one of them suffices, `-` excludes; terms with other characters than
letters and digits stand in double quotes; matching minds upper and lower case. Patterns over JSON
and space-delimited fields, and regular expressions, are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sagedock.errors import ServiceError

_TERM = re.compile(r'([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?:\s+|$)')
_STRUCTURED = {"{": "JSON", "[": "space-delimited", "%": "regular expression"}


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which messages match: all of `needed`, none of `unwanted`, and where there are `optional`
    ones, one of these (CloudWatch ignores them beside needed terms)."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    def matches(self, message: str) -> bool:
        if any(term in message for term in self.unwanted):
            return False
        if self.needed or not self.optional:
            return all(term in message for term in self.needed)
        return any(term in message for term in self.optional)


def read_pattern(pattern: str) -> LogFilter:
    """Raises InvalidParameterException for what is not a list of terms."""
    pattern = pattern.strip()
    kind = _STRUCTURED.get(pattern[:1])
    if kind is not None:
        raise _refusal(
            f"{kind} filter patterns are not emulated by sagedock (filterPattern '{pattern}'). Use "
            'terms and quoted phrases, such as: "epoch 1" -warning'
        )
    terms: dict[str, list[str]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(pattern):
        found = _TERM.match(pattern, at)
        if found is None:
            raise _refusal(f"Invalid filter pattern '{pattern}': a quoted phrase is not closed.")
        mark, phrase, term = found.groups()
        terms[mark].append(term if phrase is None else re.sub(r"\\(.)", r"\1", phrase))
        at = found.end()
    return LogFilter(tuple(terms[""]), tuple(terms["?"]), tuple(terms["-"]))


def _refusal(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidParameterException", status=400)
