"""Reading from sockets into one buffer that all connections share.

asyncio's ordinary protocols allocate 256 KiB for every read and give most of it back, which costs
20 µs a read where the C library maps such blocks anew: as much as all the rest of a request.
"""

from __future__ import annotations

import asyncio

_SHARED = memoryview(bytearray(256 * 1024))


class Receiver(asyncio.BufferedProtocol):
    """A protocol whose `data_received` gets its bytes by way of the shared buffer.

    What is read is taken out before the event loop reads again, so one buffer is enough.
    """

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _SHARED

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_SHARED[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """To be defined by the protocol itself."""
        raise TypeError(f"{type(self).__name__} does not read")
