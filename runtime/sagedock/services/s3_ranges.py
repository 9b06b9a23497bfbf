"""Which bytes of an object are asked for: Range and PartNumber."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sagedock.errors import ServiceError
from sagedock.services.operation import Request
from sagedock.store.object_errors import (
    invalid_argument,
    invalid_part_number,
    invalid_range,
    invalid_request,
)
from sagedock.store.object_schema import ObjectRecord

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Selection:
    """`content_range` is empty for the whole object, answered 200 and not 206."""

    offset: int
    length: int
    content_range: str = ""


def select(request: Request, record: ObjectRecord) -> Selection:
    """Raises InvalidRange and InvalidPartNumber (416).

    One range of bytes; several, or a text that is no range, count as none
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, RFC 9110 14.2).
    """
    asked, part = request.get("Range"), request.get("PartNumber")
    if asked is not None and part is not None:
        raise invalid_request("Cannot specify both Range header and partNumber query parameter")
    if part is not None:
        return _part(part, record)
    found = _RANGE.fullmatch(asked.replace(" ", "")) if asked else None
    if found is None or not (found[1] or found[2]):
        return Selection(0, record.size)
    if found[1]:
        first, last = int(found[1]), int(found[2]) if found[2] else record.size - 1
        if found[2] and last < first:
            return Selection(0, record.size)
    else:
        first, last = max(record.size - int(found[2]), 0), record.size - 1
    if first >= record.size:
        raise invalid_range(str(asked), record.size)
    return _selection(first, min(last, record.size - 1) - first + 1, record.size)


def _part(number: int, record: ObjectRecord) -> Selection:
    sizes = record.details.part_sizes or (record.size,)
    if not 1 <= number <= len(sizes):
        raise invalid_part_number()
    return _selection(sum(sizes[: number - 1]), sizes[number - 1], record.size)


def _selection(offset: int, length: int, size: int) -> Selection:
    if not length:
        return Selection(offset, length)
    return Selection(offset, length, f"bytes {offset}-{offset + length - 1}/{size}")


def copied_range(asked: str | None, size: int) -> tuple[int, int]:
    """Offset and length of UploadPartCopy's CopySourceRange, which must lie within the source.
    Raises InvalidArgument."""
    if asked is None:
        return 0, size
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
    if found is None or int(found[1]) > int(found[2]):
        raise _bad_copied_range(asked, "must be bytes=first-last")
    if int(found[2]) >= size:
        raise _bad_copied_range(asked, f"goes beyond the source's {size} bytes")
    return int(found[1]), int(found[2]) - int(found[1]) + 1


def _bad_copied_range(asked: str, why: str) -> ServiceError:
    said = f"The x-amz-copy-source-range {asked!r} {why}."
    return invalid_argument(said, "x-amz-copy-source-range", asked)
