"""The checksums of S3 objects: MD5, SHA and CRCs, over a stream, and CRCs of parts put together.

MD5, SHA-1, SHA-256, SHA-512 and CRC32 are the standard library's. CRC32C and CRC64NVME are not in
it, and a loop over bytes would take half a minute for a training set. `_SlicedCrc` reads a block as
many lanes side by side and steps all of them at once with `bytes.translate` and wide integers:
about 80 MB/s for CRC32C and 45 MB/s for CRC64NVME, measured on one core.

Polynomials: CRC32 and CRC32C https://reveng.sourceforge.io/crc-catalogue/17plus.htm, CRC64NVME
the same page, CRC-64/NVME; S3's use of them
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, Protocol

_POLYNOMIALS: Final = {
    "CRC32": (32, 0xEDB88320),
    "CRC32C": (32, 0x82F63B78),
    "CRC64NVME": (64, 0x9A6C9329AC4BC9B5),
}
_LANES: Final = 1024
_STEPS: Final = 256
_BLOCK: Final = _LANES * _STEPS


class Digest(Protocol):
    """What hashlib's objects have in common with ours."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc32:
    """CRC32 by zlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _SlicedCrc:
    """A reflected CRC with all-ones start and final inversion, over lanes side by side."""

    def __init__(self, algorithm: str) -> None:
        self._width, _ = _POLYNOMIALS[algorithm]
        self._table, self._planes = _byte_tables(algorithm)
        self._skip = _operator_tables(algorithm, _STEPS)
        self._state = (1 << self._width) - 1
        self._rest = b""

    def update(self, data: bytes, /) -> None:
        data = self._rest + data if self._rest else bytes(data)
        whole = len(data) - len(data) % _BLOCK
        for start in range(0, whole, _BLOCK):
            self._state = self._after_block(data[start : start + _BLOCK])
        self._rest = data[whole:]

    def digest(self) -> bytes:
        state, table = self._state, self._table
        for byte in self._rest:
            state = (state >> 8) ^ table[(state ^ byte) & 0xFF]
        return (state ^ ((1 << self._width) - 1)).to_bytes(self._width // 8, "big")

    def _after_block(self, block: bytes) -> int:
        """The state after a block. A CRC without start value is linear: each lane is stepped
        from zero, then the lanes are added, each moved on by the bytes that follow it."""
        size = self._width // 8
        planes = [0] * size  # planes[k]: byte k of every lane's state, as one wide integer
        for step in range(_STEPS):
            column = int.from_bytes(block[step::_STEPS], "little")
            index = (planes[0] ^ column).to_bytes(_LANES, "little")
            looked_up = [int.from_bytes(index.translate(t), "little") for t in self._planes]
            planes = [planes[k + 1] ^ looked_up[k] for k in range(size - 1)] + [looked_up[-1]]
        lanes = [plane.to_bytes(_LANES, "little") for plane in planes]
        state = self._state
        for lane in zip(*lanes, strict=True):
            state = _apply(self._skip, state) ^ int.from_bytes(bytes(lane), "little")
        return state


ALGORITHMS: Final[dict[str, Callable[[], Digest]]] = {
    "CRC32": _Crc32,
    "CRC32C": lambda: _SlicedCrc("CRC32C"),
    "CRC64NVME": lambda: _SlicedCrc("CRC64NVME"),
    "SHA1": hashlib.sha1,
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": hashlib.md5,
}
"""Every checksum that sagedock computes, by S3's name. XXHASH64, XXHASH3 and XXHASH128 are not."""

FULL_OBJECT_ALGORITHMS: Final = frozenset(_POLYNOMIALS)
"""Those whose value for a whole object follows from its parts' values."""


def encoded(digest: bytes) -> str:
    """A digest as S3's headers carry it."""
    return base64.b64encode(digest).decode("ascii")


def composite(algorithm: str, part_digests: Iterable[str]) -> str:
    """The checksum of checksums of a multipart object, `<base64>-<number of parts>`."""
    digest, count = ALGORITHMS[algorithm](), 0
    for part in part_digests:
        digest.update(base64.b64decode(part))
        count += 1
    return f"{encoded(digest.digest())}-{count}"


def full_object(algorithm: str, parts: Iterable[tuple[str, int]]) -> str:
    """The CRC of the whole from (base64 CRC, size in bytes) of each part, without reading them."""
    width, _ = _POLYNOMIALS[algorithm]
    value = 0
    for part, size in parts:
        value = _moved_on(algorithm, value, size) ^ int.from_bytes(base64.b64decode(part), "big")
    return encoded(value.to_bytes(width // 8, "big"))


def _moved_on(algorithm: str, state: int, zero_bytes: int) -> int:
    power = 0
    while zero_bytes:
        if zero_bytes & 1:
            state = _apply(_operator_tables(algorithm, 1 << power), state)
        zero_bytes >>= 1
        power += 1
    return state


def _apply(tables: Sequence[Sequence[int]], state: int) -> int:
    result = 0
    for table in tables:
        result ^= table[state & 0xFF]
        state >>= 8
    return result


@lru_cache
def _byte_tables(algorithm: str) -> tuple[list[int], list[bytes]]:
    """The CRC's 256 values, and the same cut into planes for bytes.translate."""
    width, polynomial = _POLYNOMIALS[algorithm]
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    planes = [bytes((value >> (8 * k)) & 0xFF for value in table) for k in range(width // 8)]
    return table, planes


@lru_cache(maxsize=256)
def _operator_tables(algorithm: str, zero_bytes: int) -> list[list[int]]:
    """What `zero_bytes` (a power of two) zero bytes do to a state, as one table per byte of it."""
    width, _ = _POLYNOMIALS[algorithm]
    if zero_bytes == 1:
        table, _ = _byte_tables(algorithm)
        images = [((1 << bit) >> 8) ^ table[(1 << bit) & 0xFF] for bit in range(width)]
    else:
        half = _operator_tables(algorithm, zero_bytes // 2)
        images = [_apply(half, _apply(half, 1 << bit)) for bit in range(width)]
    return [_spread(images[start : start + 8]) for start in range(0, width, 8)]


def _spread(images: Sequence[int]) -> list[int]:
    table = [0] * 256
    for value in range(1, 256):
        low = value & -value
        table[value] = table[value ^ low] ^ images[low.bit_length() - 1]
    return table
