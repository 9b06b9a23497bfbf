"""Exceptions by which user code of the legacy generation answers 415, 406 and 412."""

from sagedock_toolkit.errors import (
    UnsupportedAcceptTypeError,
    UnsupportedContentTypeError,
    UnsupportedInputShapeError,
)

__all__ = [
    "UnsupportedAcceptTypeError",
    "UnsupportedContentTypeError",
    "UnsupportedInputShapeError",
]
