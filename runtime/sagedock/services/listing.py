"""What all List operations share: filters, order, page size and tokens.

A token names the place of the last resource that was answered, not how many there were, so pages
stay right while resources come and go between them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sagedock.domain.resource import Resource
from sagedock.errors import ValidationException
from sagedock.services.operation import Request
from sagedock.store.resources import Filter, Resources, sort_key

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

DEFAULT_PAGE = 10
"""MaxResults where a request has none (API_ListEndpoints.html: "defaults to 10")."""

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the answer; `token` leads to the rest and is None at the end."""

    items: Sequence[T]
    token: str | None

    def answer(self, member: str, shown: Sequence[Any]) -> dict[str, Any]:
        """The answer of a List operation; it has a NextToken only when more remain."""
        return {member: list(shown), **({"NextToken": self.token} if self.token else {})}


@dataclass(frozen=True, slots=True)
class ListRules:
    """How one List operation differs from the others.

    `ascending`: its default order. `after_is_inclusive`: CreationTimeAfter finds the moment itself
    too. `status_after_paging`: a page is cut first and filtered by StatusEquals afterwards.
    """

    operation: str
    ascending: bool = False
    after_is_inclusive: bool = False
    status_after_paging: bool = False


def find_page(resources: Resources[R], request: Request, rules: ListRules) -> Page[R]:
    """The page of `resources` that `request` asks for."""
    wanted, size = _filter(request, rules), int(request.get("MaxResults", DEFAULT_PAGE))
    found = resources.find(wanted)
    shown, more = found[:size], len(found) > size
    token = None
    if more:
        order = [wanted.sort_by, wanted.descending]
        token = write_token(rules.operation, [order, list(sort_key(shown[-1], wanted.sort_by))])
    status = request.get("StatusEquals")
    return Page([r for r in shown if status in (None, r.status)], token)


def _filter(request: Request, rules: ListRules) -> Filter:
    order = request.get("SortOrder", "Ascending" if rules.ascending else "Descending")
    sort_by = request.get("SortBy", "CreationTime")
    created_after = request.get("CreationTimeAfter")
    if created_after is not None and rules.after_is_inclusive:
        created_after -= _MOMENT
    late = rules.status_after_paging and "MaxResults" in request
    return Filter(
        name_contains=request.get("NameContains"),
        status=None if late else request.get("StatusEquals"),
        created_after=created_after,
        created_before=request.get("CreationTimeBefore"),
        modified_after=request.get("LastModifiedTimeAfter"),
        modified_before=request.get("LastModifiedTimeBefore"),
        sort_by=sort_by,
        descending=order == "Descending",
        after=_place(request.get("NextToken"), rules.operation, [sort_by, order == "Descending"]),
        limit=int(request.get("MaxResults", DEFAULT_PAGE)) + 1,
    )


def _place(token: str | None, operation: str, order: list[Any]) -> tuple[Any, str] | None:
    if token is None:
        return None
    said = read_token(operation, token)
    match said:
        case [read_order, [(str() | float() | int()) as value, str(name)]] if read_order == order:
            return value, name
    raise bad_token(operation, token)


def write_token(operation: str, place: Any) -> str:
    """An opaque text that `read_token` takes back, for the same operation only."""
    raw = json.dumps([operation, place], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_token(operation: str, token: str) -> Any:
    """The place in `token`. Raises ValidationException for one that we did not write."""
    try:
        padded = token + "=" * (-len(token) % 4)
        said = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, UnicodeDecodeError):
        raise bad_token(operation, token) from None
    if not isinstance(said, list) or len(said) != 2 or said[0] != operation:
        raise bad_token(operation, token)
    return said[1]


def bad_token(operation: str, token: str) -> ValidationException:
    shown = token if len(token) <= 80 else token[:77] + "..."
    return ValidationException(
        f"Invalid NextToken '{shown}'. Send the NextToken of the last {operation} answer, with the "
        f"same SortBy and SortOrder."
    )
