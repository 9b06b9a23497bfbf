"""S3's lists of objects, version 1 and 2."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.s3_answers import owner, quoted, token, token_read
from sagedock.store.object_errors import invalid_argument
from sagedock.store.object_listing import Page
from sagedock.store.object_schema import ObjectRecord
from sagedock.store.objects import Objects

_MAX_KEYS = 1000
_ENCODED = ("Prefix", "Delimiter", "Marker", "NextMarker", "StartAfter")


class ListingOperations:
    service = "s3"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @operation("ListObjectsV2")
    def list_v2(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""
        sent = request.get("ContinuationToken")
        after = request.get("StartAfter") or "" if sent is None else token_read(sent)
        page = self._page(request, after)
        answer = _answer(request, page, owner(context.account) if request.get("FetchOwner") else {})
        answer["KeyCount"] = len(page)
        for name in ("StartAfter", "ContinuationToken"):
            if request.get(name):
                answer[name] = request[name]
        if page.next_after is not None:
            answer["NextContinuationToken"] = token(page.next_after)
        return _encoded(request, answer)

    @operation("ListObjects")
    def list_v1(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html: NextMarker only
        with a delimiter; without one the last key is the marker."""
        page = self._page(request, request.get("Marker") or "")
        answer = _answer(request, page, owner(context.account))
        answer["Marker"] = request.get("Marker") or ""
        if page.next_after is not None and request.get("Delimiter"):
            answer["NextMarker"] = page.next_after
        return _encoded(request, answer)

    def _page(self, request: Request, after: str) -> Page:
        return self._objects.page(
            request["Bucket"],
            prefix=request.get("Prefix") or "",
            after=after,
            limit=_limit(request),
            delimiter=request.get("Delimiter") or "",
        )


def _limit(request: Request) -> int:
    asked = request.get("MaxKeys")
    if asked is None:
        return _MAX_KEYS
    if asked < 0:
        raise invalid_argument(
            "Argument maxKeys must be an integer between 0 and 2147483647", "maxKeys", asked
        )
    return min(int(asked), _MAX_KEYS)


def _answer(request: Request, page: Page, owned_by: dict[str, str]) -> Answer:
    answer: Answer = {
        "Name": request["Bucket"],
        "Prefix": request.get("Prefix") or "",
        "MaxKeys": _limit(request),
        "IsTruncated": page.next_after is not None,
        "Contents": [_entry(record, owned_by) for record in page.objects],
        "CommonPrefixes": [{"Prefix": prefix} for prefix in page.prefixes],
    }
    if request.get("Delimiter"):
        answer["Delimiter"] = request["Delimiter"]
    return answer


def _entry(record: ObjectRecord, owned_by: dict[str, str]) -> dict[str, Any]:
    details = record.details
    entry: dict[str, Any] = {
        "Key": record.key,
        "LastModified": record.modified,
        "ETag": quoted(record.etag),
        "Size": record.size,
        "StorageClass": details.system.get("StorageClass", "STANDARD"),
    }
    if details.checksums:
        kinds = [name.removeprefix("Checksum") for name in details.checksums]
        entry["ChecksumAlgorithm"] = [kind for kind in kinds if kind != "Type"]
        entry["ChecksumType"] = details.checksums["ChecksumType"]
    if owned_by:
        entry["Owner"] = owned_by
    return entry


def _encoded(request: Request, answer: Answer) -> Answer:
    """With encoding-type=url, keys go out percent-encoded: XML 1.0 cannot hold every key."""
    kind = request.get("EncodingType")
    if not kind:
        return answer
    if kind != "url":
        raise invalid_argument(
            "Invalid Encoding Method specified in Request", "encoding-type", kind
        )
    answer["EncodingType"] = kind
    for name in _ENCODED:
        if answer.get(name):
            answer[name] = quote(answer[name])
    for entry in answer["Contents"]:
        entry["Key"] = quote(entry["Key"])
    for entry in answer["CommonPrefixes"]:
        entry["Prefix"] = quote(entry["Prefix"])
    return answer
