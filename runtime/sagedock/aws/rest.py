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
    """What a request must carry to mean `operation`.

    `asked` are the query keys it needs, of which those in `literals` also need that value;
    `known` are all that it takes.
    """

    operation: str
    method: str
    path: re.Pattern[str]
    asked: frozenset[str]
    literals: Mapping[str, str]
    headers: frozenset[str]
    known: frozenset[str]
    is_deprecated: bool

    def is_met(self, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> bool:
        """Whether query and headers have what it asks for."""
        if self.asked and not (query and self.asked <= query.keys()):
            return False
        if self.headers and not self.headers <= headers.keys():
            return False
        return all(value in query[key] for key, value in self.literals.items())

    @property
    def weight(self) -> tuple[int, bool]:
        """How much it asks for; of equals, the one that is not deprecated."""
        return len(self.asked) + len(self.headers), not self.is_deprecated


@cache
def bindings(service: str) -> Mapping[str, tuple[Binding, ...]]:
    """HTTP method → bindings of a REST service's operations, the most demanding first."""
    found = [_binding(model.operation(service, name)) for name in model.operation_names(service)]
    found.sort(key=lambda binding: binding.weight, reverse=True)
    methods = {binding.method for binding in found}
    return {each: tuple(b for b in found if b.method == each) for each in methods}


@cache
def _paths(service: str) -> Mapping[str, re.Pattern[str]]:
    return {each.operation: each.path for group in bindings(service).values() for each in group}


@cache
def selectors(service: str) -> frozenset[str]:
    """Query keys that choose an operation. One that the chosen operation does not know means
    that another was wanted, and `DELETE /bucket?policy` must never delete the bucket."""
    return frozenset(
        key for group in bindings(service).values() for each in group for key in each.asked
    )


def match(
    service: str, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]
) -> Binding | None:
    """The operation that is meant, or None."""
    for binding in bindings(service).get(method, ()):
        if binding.is_met(query, headers) and binding.path.fullmatch(path):
            strays = selectors(service).intersection(query) - binding.known if query else ()
            return None if strays else binding
    return None


def labels(service: str, operation: str, path: str) -> dict[str, str]:
    """The members that are in the path, percent-decoded exactly once; `+` stays `+`."""
    found = _paths(service)[operation].fullmatch(path)
    return {name: decoded(text) for name, text in found.groupdict().items()} if found else {}


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
    needed: dict[str, set[str]] = {"querystring": set(literals), "header": set()}
    for member in required:
        if (location := members[member].location) in needed:
            needed[location].add(members[member].wire_name or member)
    taken = {m.wire_name or name for name, m in members.items() if m.location == "querystring"}
    return Binding(
        operation=operation.name,
        method=operation.method,
        path=_template(template),
        asked=frozenset(needed["querystring"]),
        literals={key: value for key, value in literals.items() if value},
        headers=frozenset(name.lower() for name in needed["header"]),
        known=frozenset(taken.union(literals)),
        is_deprecated=operation.is_deprecated,
    )


def _template(template: str) -> re.Pattern[str]:
    """`/{Bucket}/{Key+}` as a pattern; a greedy label may hold slashes."""

    def label(found: re.Match[str]) -> str:
        name, greedy = found.group(1), found.group(2)
        return f"(?P<{name}>.+)" if greedy else f"(?P<{name}>[^/]+)"

    pattern = re.sub(r"\{(\w+)(\+?)\}", label, template)
    return re.compile(pattern if pattern == "/" else pattern + "/?", re.DOTALL)
