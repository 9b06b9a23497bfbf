"""What MMS takes for the body of a request: forms are split, and the query counts too.

Source: multi-model-server 1.1.8, InferenceRequestHandler.java (parseRequest).
"""

from __future__ import annotations

from email import message_from_bytes
from urllib.parse import parse_qsl

from sagedock_toolkit.frames import Meta

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"


def body_of(body: bytes | memoryview, meta: Meta) -> bytearray | None:
    """The bytes that user code gets as its input; None where nothing is called `body`.

    A form has no body of its own, only its parts, and parameters of the query come first.
    """
    mime_type = (meta.content_type or "").partition(";")[0].strip().lower()
    if mime_type == _MULTIPART:
        found = _part_of_multipart(bytes(body), meta.content_type or "")
    elif mime_type == _URLENCODED:
        found = _value(bytes(body).decode("utf-8", "replace"))
    else:
        return bytearray(body)
    return found if found is not None else _value(meta.query)


def _value(encoded: str) -> bytearray | None:
    values = [value for name, value in parse_qsl(encoded, True) if name == "body"]
    return bytearray(values[-1].encode("utf-8")) if values else None


def _part_of_multipart(body: bytes, content_type: str) -> bytearray | None:
    form = message_from_bytes(
        b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body
    )
    found = None
    for part in form.walk():
        if part.get_param("name", header="content-disposition") == "body":
            payload = part.get_payload(decode=True)
            found = bytearray(payload) if isinstance(payload, bytes) else bytearray()
    return found
