"""MXNet's RecordIO, read and written in a few lines, so that a client needs no MXNet.

A file is a row of chunks: the magic word, a word that holds the chunk's kind (upper three bits) and
its length (the other 29), the bytes, and zeros up to a multiple of four. A picture's record begins
with a 24-byte header: flag, label, id, second id; after it comes the encoded picture (JPEG or PNG).
Where a record happens to hold the magic word at a multiple of four, the writer cuts it there and
leaves the word out, and the reader puts it back: kind 1 begins such a record, 2 goes on, 3 ends it.
Source of the layout: dmlc-core's `recordio.h` and MXNet's `mx.recordio`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAGIC = struct.pack("<I", 0xCED7230A)
WHOLE, BEGIN, MIDDLE, END = range(4)
LENGTH_BITS = 29
HEADER = struct.Struct("<IfQQ")


class Picture(NamedTuple):
    """One record: its class, its number in the set, and the encoded picture."""

    label: int
    id: int
    encoded: bytes


def read_pictures(path: Path) -> Iterator[Picture]:
    """Every picture of a .rec file, in file order. Raises ValueError where it is no such file."""
    with path.open("rb") as file:
        while (record := _read_record(file, path)) is not None:
            flag, label, number, _ = HEADER.unpack_from(record)
            # A flag above 0 counts the float labels that stand before the picture.
            yield Picture(int(label), number, record[HEADER.size + 4 * flag :])


def write_pictures(path: Path, pictures: Iterable[Picture]) -> int:
    """Write a .rec file that `mx.io.ImageRecordIter` reads; returns how many records it holds."""
    count = 0
    with path.open("wb") as file:
        for picture in pictures:
            header = HEADER.pack(0, float(picture.label), picture.id, 0)
            _write_record(file, header + picture.encoded)
            count += 1
    return count


def _read_record(file: BinaryIO, path: Path) -> bytes | None:
    parts: list[bytes] = []
    while head := file.read(8):
        if len(head) < 8 or head[:4] != MAGIC:
            raise ValueError(f"{path} is not a RecordIO file (at byte {file.tell() - len(head)}).")
        word = struct.unpack("<I", head[4:])[0]
        kind, length = word >> LENGTH_BITS, word & ((1 << LENGTH_BITS) - 1)
        parts.append(file.read(length))
        file.seek(-length % 4, 1)
        if len(parts[-1]) < length:
            break
        if kind in (WHOLE, END):
            return MAGIC.join(parts)
    if parts:
        raise ValueError(f"{path} ends in the middle of a record.")
    return None


def _write_record(file: BinaryIO, record: bytes) -> None:
    parts = _split_at_aligned_magic(record)
    for number, part in enumerate(parts):
        first, last = number == 0, number == len(parts) - 1
        kind = WHOLE if first and last else BEGIN if first else END if last else MIDDLE
        file.write(MAGIC + struct.pack("<I", kind << LENGTH_BITS | len(part)))
        file.write(part + bytes(-len(part) % 4))


def _split_at_aligned_magic(record: bytes) -> list[bytes]:
    parts, begin, at = [], 0, record.find(MAGIC)
    while at >= 0:
        if at % 4 == 0:
            parts.append(record[begin:at])
            begin = at + 4
        at = record.find(MAGIC, at + 4 if at % 4 == 0 else at + 1)
    return [*parts, record[begin:]]
