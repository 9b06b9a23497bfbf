"""What a model server is asked with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """A request's body as the user keeps it."""

    file: str
    body: bytes
    content_type: str
