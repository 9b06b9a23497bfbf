"""`encode(array_like, content_type)`, which user output functions call."""

from sagedock_toolkit.content_types import encode

__all__ = ["encode"]
