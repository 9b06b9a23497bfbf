"""Strict reading of HTTP/1.1 requests (RFC 9112), without input or output.

Strict, because between this server and its client there is always another HTTP implementation (the
emulator, or AWS's front), and with whatever two of them read differently one can be tricked: bare
line feeds, folded headers, spaces before a colon, Content-Length beside Transfer-Encoding.
"""

from __future__ import annotations

import re
from typing import List, NamedTuple, Tuple, Union

HEAD_LIMIT = 32 * 1024
"""Bytes of request line and headers; 431 above. AWS's own headers need about 6 KiB at most."""

PIECE_BYTES = 64 * 1024

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_CHUNK_LINE_LIMIT = 4096

Headers = List[Tuple[str, str]]
Pieces = List[Union[bytes, bytearray]]


class BadRequest(Exception):
    """The bytes are no request that can be served; `status` is the answer, the text says why."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class RequestHead(NamedTuple):
    """Request line and headers. `length` is None for a chunked body; header names are as sent."""

    method: str
    path: str
    query: str
    headers: Headers
    length: int | None
    keep_alive: bool
    expects_continue: bool


def parse_head(head: bytes) -> RequestHead:
    """Read everything up to and including the empty line. Raises BadRequest."""
    line, *lines = head[:-4].split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(line)
    if request_line is None:
        raise BadRequest("The request line is malformed.")
    method, target, major, minor = request_line.groups()
    if major != b"1":
        raise BadRequest("Only HTTP/1.0 and HTTP/1.1 are spoken here.", 505)
    headers = [_header(line) for line in lines]
    framing = _framing_headers(headers)
    is_11 = minor != b"0"
    if is_11 and "host" not in framing:
        raise BadRequest("An HTTP/1.1 request needs a Host header.")
    path, query = _split_target(target.decode("ascii"))
    connection = framing.get("connection", "").lower()
    options = [option.strip() for option in connection.split(",")]
    keep_alive = "close" not in options and (is_11 or "keep-alive" in options)
    return RequestHead(
        method.decode("ascii"), path, query, headers,
        _body_length(framing), keep_alive, _expects_continue(framing, is_11),
    )  # fmt: skip


def _header(line: bytes) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise BadRequest("A header line is malformed.")
    return match.group(1).decode("ascii"), match.group(2).rstrip(b" \t").decode("latin-1")


_SINGLE = ("host", "content-length", "transfer-encoding", "expect")


def _framing_headers(headers: Headers) -> dict[str, str]:
    """The headers that decide where the request ends and what happens to the connection."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key == "connection":
            found[key] = found[key] + "," + value if key in found else value
        elif key in _SINGLE:
            if found.get(key, value) != value or (key == "transfer-encoding" and key in found):
                raise BadRequest(f"There are several {name} headers.")
            found[key] = value
    return found


def _body_length(framing: dict[str, str]) -> int | None:
    length = framing.get("content-length")
    coding = framing.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
        if coding.lower() != "chunked":
            raise BadRequest(f"Transfer-Encoding {coding} is not known here.", 501)
        return None
    if length is None:
        return 0
    if not _DIGITS.fullmatch(length.encode("latin-1")):
        raise BadRequest("Content-Length is not a number.")
    return int(length)


def _expects_continue(framing: dict[str, str], is_11: bool) -> bool:
    expectation = framing.get("expect")
    if expectation is None or not is_11:
        return False
    if expectation.lower() != "100-continue":
        raise BadRequest(f"Expect: {expectation} cannot be met.", 417)
    return True


def _split_target(target: str) -> tuple[str, str]:
    """Path and query of the origin form, or of the absolute form that proxies send."""
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            _, slash, path = rest.partition("/")
            target = slash + path or "/"
    path, _, query = target.partition("?")
    return path, query


def add_piece(pieces: Pieces, data: bytes) -> None:
    """Add to a body that is kept in pieces, so that it is never copied as a whole. Small pieces
    are put together: a client that sends single bytes must not cost fifty times its body."""
    last = pieces[-1] if pieces else b""
    if isinstance(last, bytearray) and len(last) < PIECE_BYTES:
        last += data
    else:
        pieces.append(data if len(data) >= PIECE_BYTES else bytearray(data))


class ChunkedBody:
    """Takes a chunked body apart as its bytes come. `parts` holds the data, `length` its size."""

    def __init__(self, limit: int | None) -> None:
        self.parts: Pieces = []
        self.length = 0
        self.complete = False
        self._limit = limit
        self._pending = b""
        self._missing = 0
        self._in_trailer = False
        self._trailer_size = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; what follows the body is handed back. Raises BadRequest."""
        data = self._pending + data if self._pending else data
        self._pending = b""
        position = 0
        while not self.complete:
            if self._missing > 2:
                part = data[position : position + self._missing - 2]
                if not part:
                    return b""
                self._add(part)
                position += len(part)
                continue
            end = data.find(b"\n", position)
            if end < 0:
                self._hold(data[position:])
                return b""
            self._line(data[position : end + 1])
            position = end + 1
        return data[position:]

    def _add(self, part: bytes) -> None:
        add_piece(self.parts, part)
        self.length += len(part)
        self._missing -= len(part)
        if self._limit is not None and self.length > self._limit:
            raise BadRequest(f"The body is larger than {self._limit} bytes.", 413)

    def _hold(self, rest: bytes) -> None:
        if len(rest) > _CHUNK_LINE_LIMIT:
            raise BadRequest("A line of the chunked body is too long.")
        self._pending = rest

    def _line(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise BadRequest("A line of the chunked body does not end with CRLF.")
        if self._missing:
            if line != b"\r\n":
                raise BadRequest("A chunk is longer than it says.")
            self._missing = 0
        elif self._in_trailer:
            self._trailer_line(line)
        else:
            size = _CHUNK_SIZE.fullmatch(line[:-2])
            if size is None:
                raise BadRequest("A chunk size is malformed.")
            count = int(size.group(1), 16)
            # The two bytes after the data are CR and LF; a size of 0 begins the trailer.
            self._missing = count + 2 if count else 0
            self._in_trailer = count == 0

    def _trailer_line(self, line: bytes) -> None:
        """Trailers are read and forgotten: no generation shows them to user code."""
        self._trailer_size += len(line)
        if self._trailer_size > HEAD_LIMIT:
            raise BadRequest("The trailers are too large.", 431)
        if line == b"\r\n":
            self.complete = True
        else:
            _header(line[:-2])
