"""Request bodies that a client packed: botocore sends PutMetricData in gzip from 10 KiB on.

Only of services whose body is a document. An S3 object's or an invocation's Content-Encoding
belongs to the content.
"""

from __future__ import annotations

import zlib
from typing import Final

from sagedock.aws.http import HttpRequest
from sagedock.errors import ServiceError

_GZIP: Final = 31
"""zlib's word for a gzip header and a window of any size."""
_MOST: Final = 64 * 1024**2
"""Bytes of an unpacked request; AWS's own limits are far lower (1 MiB for PutMetricData)."""


def plain_body(request: HttpRequest) -> bytes:
    """The body as it was before it was packed. Raises SerializationException (400) for what is
    no gzip, and for more than 64 MiB."""
    if request.headers.get("content-encoding", "").strip().lower() != "gzip":
        return request.body
    unpacking = zlib.decompressobj(_GZIP)
    try:
        body = unpacking.decompress(request.body, _MOST)
    except zlib.error as error:
        raise _refused(f"is not valid gzip: {error}") from error
    if not unpacking.eof:
        raise _refused("is cut off" if len(body) < _MOST else "unpacks to more than 64 MiB")
    return body


def _refused(detail: str) -> ServiceError:
    said = f"The request body {detail}."
    return ServiceError(said, code="SerializationException", status=400)
