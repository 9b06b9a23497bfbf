"""The two records every wire module knows: an HTTP request read whole, and an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came in.

    `path` is percent-encoded as sent and has no query; `query` is the raw text after `?`;
    header names are lower case, repeated headers are joined with a comma. `body` is empty where
    the bytes are streamed (S3 object bodies).
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def host(self) -> str:
        return self.headers.get("host", "")


@dataclass(slots=True)
class HttpResponse:
    """An answer; header names as they go out."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
