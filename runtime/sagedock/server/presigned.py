"""When a presigned address ends. Its signature is read for that, and never verified."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qs

from sagedock.aws.http import HttpRequest
from sagedock.errors import ServiceError

_MAX_SECONDS: Final = 7 * 24 * 3600
"""https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""


def check_not_expired(request: HttpRequest, now: datetime) -> None:
    """Raises AccessDenied (403) for an address past its time, AuthorizationQueryParametersError
    (400) for one whose times cannot be read. Knows both kinds: X-Amz-Date with X-Amz-Expires, and
    the older `Expires` in seconds since 1970."""
    if "Expires=" not in request.query:
        return
    query = {name: values[-1] for name, values in parse_qs(request.query).items()}
    if "X-Amz-Expires" in query:
        ends = _end_of_version_4(query)
    elif "AWSAccessKeyId" in query and "Expires" in query:
        ends = _moment(query["Expires"])
    else:
        return
    if now > ends:
        raise ServiceError(
            "Request has expired",
            code="AccessDenied",
            status=403,
            fields={"Expires": f"{ends:%Y-%m-%dT%H:%M:%SZ}", "ServerTime": f"{now:%FT%TZ}"},
        )


def _end_of_version_4(query: dict[str, str]) -> datetime:
    try:
        seconds = int(query["X-Amz-Expires"])
        begun = datetime.strptime(query.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ")
    except ValueError as error:
        raise _unreadable(
            "X-Amz-Date must be in the ISO8601 Long Format "
            "\"yyyyMMdd'T'HHmmss'Z'\", and X-Amz-Expires a number"
        ) from error
    if not 0 <= seconds <= _MAX_SECONDS:
        raise _unreadable(f"X-Amz-Expires must be between 0 and {_MAX_SECONDS} seconds")
    return begun.replace(tzinfo=timezone.utc) + timedelta(seconds=seconds)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(text), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise _unreadable("Expires must be a number of seconds since 1970") from error


def _unreadable(message: str) -> ServiceError:
    return ServiceError(message, code="AuthorizationQueryParametersError", status=400)
