"""Pages and tokens of CloudWatch Logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from sagedock.errors import ServiceError, ValidationException
from sagedock.services.listing import read_token, write_token
from sagedock.services.operation import Request
from sagedock.store.log_events import LogEvent, Place

T = TypeVar("T")

MAX_EVENTS: Final = 10_000
MAX_PAGE_BYTES: Final = 1_048_576
"""Of one page: API_GetLogEvents.html, "up to 1 MB of log events or up to 10,000 log events"."""

EVENT_OVERHEAD_BYTES: Final = 26
"""What CloudWatch Logs counts for an event besides its message (API_PutLogEvents.html)."""

DESCRIBE_LIMIT: Final = 50
_EVENT_TOKEN: Final = re.compile(r"([fb])/(\d{20})(\d{36})/s")


def page_of_names(
    found: Sequence[T], key: Callable[[T], list[Any]], request: Request
) -> tuple[Sequence[T], dict[str, str]]:
    """The groups or streams that the request asks for, of `found`, which is in the order of `key`
    (descending where the request says so), and a nextToken if more remain."""
    descending = bool(request.get("descending"))
    if "nextToken" in request:
        last = _last_key(request["nextToken"], len(key(found[0])) if found else 0)
        found = [item for item in found if (key(item) < last if descending else key(item) > last)]
    limit = int(request.get("limit", DESCRIBE_LIMIT))
    if len(found) <= limit:
        return found, {}
    return found[:limit], {"nextToken": write_token("Describe", key(found[limit - 1]))}


def _last_key(token: str, length: int) -> list[Any]:
    try:
        last = read_token("Describe", token)
    except ValidationException:
        raise _bad_token() from None
    if not isinstance(last, list) or (length and len(last) != length):
        raise _bad_token()
    return last


def page_of_events(events: Iterable[LogEvent], limit: int) -> tuple[list[LogEvent], bool]:
    """`limit` events, or fewer where these are more than 1 MB, one at least; and whether there
    are more."""
    page: list[LogEvent] = []
    size = 0
    for event in events:
        size += len(event.message.encode()) + EVENT_OVERHEAD_BYTES
        if len(page) == limit or (page and size > MAX_PAGE_BYTES):
            return page, True
        page.append(event)
    return page, False


def event_tokens(page: Sequence[LogEvent], token: str | None) -> dict[str, str]:
    """nextForwardToken and nextBackwardToken of a page, oldest event first, that was asked for
    with `token`. An empty page is at an end: the token of that direction is the one sent."""
    if page:
        forward, backward = page[-1].place, page[0].place
    elif token is None:
        forward = backward = Place(0, 0)
    else:
        went_forward, place = place_of_token(token)
        # Places stand between events here, so the other direction begins one row further.
        forward = place if went_forward else Place(place.timestamp_ms, max(0, place.row - 1))
        backward = Place(place.timestamp_ms, place.row + 1) if went_forward else place
    return {
        "nextForwardToken": _event_token("f", forward),
        "nextBackwardToken": _event_token("b", backward),
    }


def place_of_token(token: str) -> tuple[bool, Place]:
    """Whether a GetLogEvents token leads forward, and from where. Raises
    InvalidParameterException."""
    found = _EVENT_TOKEN.fullmatch(token)
    if found is None:
        raise _bad_token()
    return found[1] == "f", Place(int(found[2]), int(found[3]))


def _event_token(direction: str, place: Place) -> str:
    return f"{direction}/{place.timestamp_ms:020d}{place.row:036d}/s"


def filter_token(newest_first: bool, place: Place) -> str:
    return write_token("FilterLogEvents", [newest_first, *place])


def place_of_filter_token(token: str) -> tuple[bool, Place]:
    """The direction of a FilterLogEvents token, and from where. Raises
    InvalidParameterException."""
    try:
        said = read_token("FilterLogEvents", token)
    except ValidationException:
        raise _bad_token() from None
    match said:
        case [bool() as newest_first, int(moment), int(row)]:
            return newest_first, Place(moment, row)
    raise _bad_token()


def _bad_token() -> ServiceError:
    return ServiceError(
        "The specified nextToken is invalid.", code="InvalidParameterException", status=400
    )
