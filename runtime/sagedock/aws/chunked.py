"""Upload bodies in `aws-chunked` encoding.

S3 clients that sign or checksum while they send cut a body into frames::

    <size in hex>[;chunk-signature=<64 hex digits>]\\r\\n<bytes>\\r\\n
    …
    0[;chunk-signature=…]\\r\\n
    [x-amz-checksum-crc32:<value>\\r\\n …]
    \\r\\n

(AWS: "Signature calculations for the authorization header: transferring payload in multiple
chunks", and "… including trailing headers".) Signatures are not verified.
"""

from __future__ import annotations

import re
from typing import Final

from sagedock.errors import ServiceError

_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\x21-\x7e]*)?")
_MOST_HEADER: Final = 1024
"""Bytes of a chunk's first line; a signed one has about 90."""
_MOST_CHUNK: Final = 5 * 1024**3
"""Bytes of a chunk: an object that is sent in one request has at most 5 GiB."""
_MOST_TRAILER: Final = 16 * 1024
"""Bytes of all trailing headers."""


class ChunkedDecoder:
    """Takes a body's bytes as they come and gives the object's; keeps only unfinished lines.

    `length` counts the object's bytes so far, to be held against `x-amz-decoded-content-length`.
    """

    def __init__(self) -> None:
        self.length = 0
        self._held = bytearray()
        self._left = 0
        self._ends_chunk = False
        self._in_trailer = False

    def feed(self, data: bytes) -> bytes:
        """The object's bytes in `data`. Raises InvalidChunk, for bytes that are no frame (400)."""
        out: list[bytes] = []
        place = 0
        while place < len(data):
            if self._left:
                piece = data[place : place + self._left]
                out.append(piece)
                self._left -= len(piece)
                place += len(piece)
                self._ends_chunk = not self._left
            elif self._in_trailer:
                self._hold(data[place:], _MOST_TRAILER)
                break
            else:
                place = self._line(data, place)
        found = out[0] if len(out) == 1 else b"".join(out)
        self.length += len(found)
        return found

    def finish(self) -> dict[str, str]:
        """The trailing headers, names in lower case. Raises IncompleteBody (400) when frames or
        the final empty line are missing."""
        trailer = bytes(self._held)
        if not self._in_trailer or not (trailer == b"\r\n" or trailer.endswith(b"\r\n\r\n")):
            raise ServiceError(
                "You did not provide the number of bytes specified by the Content-Length HTTP "
                "header: the aws-chunked body ends before its last chunk.",
                code="IncompleteBody",
                status=400,
            )
        headers = {}
        for line in trailer.split(b"\n"):
            name, colon, value = line.strip().partition(b":")
            if not name and not colon:
                continue
            if not name or not colon or not line.isascii():
                raise _invalid("a trailing header is not `name:value`")
            headers[name.decode("ascii").strip().lower()] = value.decode("ascii").strip()
        return headers

    def _line(self, data: bytes, place: int) -> int:
        """Take what `data` has of the current line; where it goes on."""
        end = data.find(b"\n", place)
        stop = len(data) if end < 0 else end + 1
        self._hold(data[place:stop], _MOST_HEADER)
        if end >= 0:
            self._end_line()
        return stop

    def _end_line(self) -> None:
        line = bytes(self._held)
        self._held.clear()
        if not line.endswith(b"\r\n"):
            raise _invalid("a line does not end in CR LF")
        if self._ends_chunk:
            if line != b"\r\n":
                raise _invalid("a chunk is longer than it says")
            self._ends_chunk = False
            return
        found = _HEADER.fullmatch(line[:-2])
        if not found:
            raise _invalid(f"{line[:40]!r} is not the first line of a chunk")
        self._left = int(found.group(1), 16)
        if self._left > _MOST_CHUNK:
            raise _invalid("a chunk says it is longer than 5 GiB")
        self._in_trailer = not self._left

    def _hold(self, data: bytes, most: int) -> None:
        if len(self._held) + len(data) > most:
            raise _invalid(f"a line or the trailing headers exceed {most} bytes")
        self._held += data


def _invalid(detail: str) -> ServiceError:
    said = f"The aws-chunked request body is not valid: {detail}."
    return ServiceError(said, code="InvalidChunk", status=400)
