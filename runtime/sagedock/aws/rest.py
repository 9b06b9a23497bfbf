"""Which REST operation a method, a path, query keys and headers mean: read off the model.

Every REST operation states a method and a URI template such as `/{Bucket}/{Key+}?uploads`. What a
request must carry to mean that operation is the template, its literal query keys, and the members
that are required in the query or the headers (`uploadId`, `x-amz-copy-source`). Of all operations
that a request satisfies, the one that asks for most is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, unquote_to_bytes

from sagedock.aws import model
from sagedock.errors import ServiceError


@dataclass(frozen=True)
class Binding:
    """What a request must carry to mean `operation`."""

    operation: str
    method: str
    path: re.Pattern[str]
    literals: Mapping[str, str]
    query_keys: frozenset[str]
    headers: frozenset[str]
    known_keys: frozenset[str]
    is_deprecated: bool

    def is_met(self, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> bool:
        return (
            all(key in query for key in self.query_keys)
            and all(name in headers for name in self.headers)
            and all(
                key in query and (not value or value in query[key])
                for key, value in self.literals.items()
            )
        )

    @property
    def weight(self) -> tuple[int, bool]:
        """How much it asks for; of equals, the one that is not deprecated."""
        asked = len(self.literals) + len(self.query_keys) + len(self.headers)
        return asked, not self.is_deprecated


@cache
def bindings(service: str) -> tuple[Binding, ...]:
    """The bindings of every operation of a REST service, the most demanding first."""
    found = [_binding(model.operation(service, name)) for name in model.operation_names(service)]
    return tuple(sorted(found, key=lambda binding: binding.weight, reverse=True))


@cache
def selectors(service: str) -> frozenset[str]:
    """Query keys that choose an operation. One that the chosen operation does not know means
    that another was wanted, and `DELETE /bucket?policy` must never delete the bucket."""
    return frozenset(
        key for each in bindings(service) for key in (*each.literals, *each.query_keys)
    )


def match(
    service: str, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> Binding | None:
    """The operation that is meant, or None."""
    for binding in bindings(service):
        if (
            binding.method == method
            and binding.is_met(query, headers)
            and binding.path.fullmatch(path)
        ):
            strays = selectors(service).intersection(query) - binding.known_keys
            return None if strays else binding
    return None


def labels(service: str, operation: str, path: str) -> dict[str, str]:
    """The members that are in the path, percent-decoded exactly once; `+` stays `+`."""
    for binding in bindings(service):
        if binding.operation == operation and (found := binding.path.fullmatch(path)):
            return {name: decoded(text) for name, text in found.groupdict().items()}
    return {}


def decoded(text: str) -> str:
    """Percent-decode a path. Raises InvalidURI (400) where the bytes are not UTF-8."""
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(text) from error


def query_values(query: str) -> dict[str, list[str]]:
    """The query's keys with all their values, decoded; a key without `=` has an empty value."""
    values: dict[str, list[str]] = {}
    if not query:
        return values
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise _unreadable(query) from error
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return values


def _unreadable(text: str) -> ServiceError:
    said = f"Couldn't parse the specified URI: {text[:200]!r} is not percent-encoded UTF-8."
    return ServiceError(said, code="InvalidURI", status=400)


def _binding(operation: model.Operation) -> Binding:
    template, _, literal_query = operation.uri.partition("?")
    literals = dict(parse_qsl(literal_query, keep_blank_values=True))
    members = operation.input.members if operation.input else {}
    required = operation.input.required if operation.input else ()
    names: dict[str, set[str]] = {"querystring": set(), "header": set()}
    for member in required:
        if (location := members[member].location) in names:
            names[location].add(members[member].wire_name or member)
    known = {m.wire_name or name for name, m in members.items() if m.location == "querystring"}
    return Binding(
        operation=operation.name,
        method=operation.method,
        path=_template(template),
        literals=literals,
        query_keys=frozenset(names["querystring"]),
        headers=frozenset(name.lower() for name in names["header"]),
        known_keys=frozenset(known | set(literals)),
        is_deprecated=operation.is_deprecated,
    )


def _template(template: str) -> re.Pattern[str]:
    """`/{Bucket}/{Key+}` as a pattern; a greedy label may hold slashes."""

    def label(found: re.Match[str]) -> str:
        name, greedy = found.group(1), found.group(2)
        return f"(?P<{name}>.+)" if greedy else f"(?P<{name}>[^/]+)"

    pattern = re.sub(r"\{(\w+)(\+?)\}", label, template)
    return re.compile(pattern if pattern == "/" else pattern + "/?", re.DOTALL)
