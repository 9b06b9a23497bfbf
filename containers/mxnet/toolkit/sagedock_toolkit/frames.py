"""What goes over the socket pair between the acceptor and one worker.

A request frame is `REQUEST` (length of the meta data, length of the body), the meta data, the body.
An answer frame is `ANSWER` (kind, length of the head, length of the body), a whole HTTP response
head, the body: the worker writes the head, so that the acceptor passes the bytes on as they come.
"""

from __future__ import annotations

import json
import struct
from typing import NamedTuple

REQUEST = struct.Struct("<IQ")
ANSWER = struct.Struct("<BIQ")

ANSWERED = 0
"""The frame holds the answer to the request that was sent last."""

READY = 1
"""The worker can take requests; the body is its process id in decimal."""

UNLOADABLE = 2
"""The user's code could not be loaded, and in this generation that ends the server."""


class Meta(NamedTuple):
    """What user code learns of a request beside its body.

    `content_type` and `accept` are the headers as sent, found by the generation's own rules, None
    when absent; `query` is what follows `?` in the target.
    """

    content_type: str | None
    accept: str | None
    query: str

    def encode(self) -> bytes:
        return json.dumps(self).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> Meta:
        return cls(*json.loads(encoded))
