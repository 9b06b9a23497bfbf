from __future__ import annotations

import base64
import hashlib
import os
import zlib

import pytest

from sagedock.store.checksums import ALGORITHMS, composite, encoded, full_object

CHECK = b"123456789"
CATALOGUE = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}
"""The check values of https://reveng.sourceforge.io/crc-catalogue/17plus.htm"""


def digest_of(algorithm: str, *pieces: bytes) -> bytes:
    digest = ALGORITHMS[algorithm]()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


@pytest.mark.parametrize(("algorithm", "value"), CATALOGUE.items())
def test_a_crc_has_the_catalogues_check_value(algorithm: str, value: int) -> None:
    assert int.from_bytes(digest_of(algorithm, CHECK), "big") == value


def bitwise(data: bytes, polynomial: int, width: int) -> int:
    state = ones = (1 << width) - 1
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (polynomial if state & 1 else 0)
    return state ^ ones


@pytest.mark.parametrize(
    ("algorithm", "polynomial", "width"),
    [("CRC32C", 0x82F63B78, 32), ("CRC64NVME", 0x9A6C9329AC4BC9B5, 64)],
)
def test_whole_blocks_and_their_rest_are_as_if_bit_by_bit(
    algorithm: str, polynomial: int, width: int
) -> None:
    data = os.urandom(300_001)  # one block of lanes and a rest
    pieces = data[:7], data[7:100_000], data[100_000:]

    value = int.from_bytes(digest_of(algorithm, *pieces), "big")

    assert value == bitwise(data, polynomial, width)


@pytest.mark.parametrize("algorithm", sorted(CATALOGUE))
def test_the_crc_of_the_whole_follows_from_its_parts(algorithm: str) -> None:
    parts = [os.urandom(size) for size in (70_000, 1, 0, 33_333)]
    told = [(encoded(digest_of(algorithm, part)), len(part)) for part in parts]

    assert full_object(algorithm, told) == encoded(digest_of(algorithm, b"".join(parts)))


def test_a_checksum_of_checksums_names_the_number_of_parts() -> None:
    parts = [encoded(hashlib.sha256(text).digest()) for text in (b"one", b"two")]

    whole = hashlib.sha256(b"".join(base64.b64decode(part) for part in parts)).digest()
    assert composite("SHA256", parts) == f"{encoded(whole)}-2"


def test_crc32_is_zlibs() -> None:
    assert digest_of("CRC32", b"ab", b"c") == zlib.crc32(b"abc").to_bytes(4, "big")
