"""A function's result as Flask turned it into a response, for the two older generations."""

from __future__ import annotations

from typing import Any, Iterable

from sagedock_toolkit.answers import HTML, Answer

_TEXT_LIKE = ("application/xml", "application/javascript", "application/ecmascript")


def from_body(body: Any, mimetype: str | None, status: int = 200) -> Answer:
    """What `Response(response=body, mimetype=mimetype)` sent. Raises TypeError for other bodies."""
    return Answer(status, with_charset(mimetype), to_bytes(body))


def with_charset(mimetype: str | None) -> str:
    """Werkzeug's rule: text types get a charset, no type at all is HTML."""
    if not mimetype:
        return HTML
    is_text = mimetype.startswith("text/") or mimetype.endswith("+xml") or mimetype in _TEXT_LIKE
    return mimetype + "; charset=utf-8" if is_text and "charset" not in mimetype else mimetype


def to_bytes(body: Any) -> bytes:
    """Text, bytes, an iterable of either, or None. Raises TypeError for anything else."""
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, bytes):
        return body
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if body is None:
        return b""
    if isinstance(body, Iterable):
        return b"".join(_item(item) for item in body)
    raise TypeError(f"a response body must be text or bytes, not {type(body).__name__}")


def _item(item: Any) -> bytes:
    if isinstance(item, (str, bytes)):
        return item.encode("utf-8") if isinstance(item, str) else item
    raise TypeError(f"a response body must be made of text or bytes, not {type(item).__name__}")


def from_response(response: Any) -> Answer:
    """A Response object of the user's (werkzeug's or one that looks like it)."""
    data = response.get_data()
    content_type = getattr(response, "content_type", None) or response.mimetype
    return Answer(int(response.status_code), content_type, to_bytes(data))
