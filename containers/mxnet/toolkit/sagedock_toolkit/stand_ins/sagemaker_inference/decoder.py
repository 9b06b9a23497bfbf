"""`decode(obj, content_type)`, which user input functions call."""

from sagedock_toolkit.content_types import decode

__all__ = ["decode"]
