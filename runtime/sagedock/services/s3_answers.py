"""What S3's requests and answers have in common: headers that are kept, tags, owners, checksums."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from sagedock.errors import NotEmulated
from sagedock.services.operation import Answer, Context, Request
from sagedock.store.object_errors import (
    access_denied,
    invalid_argument,
    invalid_request,
    invalid_tag,
    no_such_version,
)
from sagedock.store.object_schema import Details, ObjectRecord

_KEPT = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)
_ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_SSE_C = ("SSECustomerKey", "CopySourceSSECustomerKey")
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
_MAX_TAGS = 10
_MAX_METADATA_BYTES = 2048


def admit(request: Request, context: Context) -> None:
    """What holds for every operation. Raises AccessDenied, NoSuchVersion, NotEmulated.

    ExpectedBucketOwner is the SDKs' guard against a bucket of somebody else's; here every bucket
    is the account's own.
    """
    for member in ("ExpectedBucketOwner", "ExpectedSourceBucketOwner"):
        owner = request.get(member)
        if owner is not None and owner != context.account:
            raise access_denied(
                f"Access Denied: {member} is {owner}, and every bucket here belongs to account "
                f"{context.account}."
            )
    version = request.get("VersionId")
    if version not in (None, "null"):
        raise no_such_version(str(version))
    if any(request.get(member) is not None for member in _SSE_C):
        raise NotEmulated("s3", "encryption with a customer's key (SSE-C)")
    if any(request.get(member) is not None for member in _LOCKS):
        raise invalid_request("Bucket is missing Object Lock Configuration")


def details_of(request: Request) -> Details:
    """What a request gives an object besides its bytes.

    A server-side encryption is kept and given back, but the bytes lie as they came: whoever reads
    this disk is the one who owns them.
    """
    system = {name: request[name] for name in _KEPT if request.get(name) not in (None, "")}
    if isinstance(system.get("Expires"), datetime):
        system["Expires"] = system["Expires"].isoformat()
    if system.get("StorageClass") == "STANDARD":
        del system["StorageClass"]
    system.setdefault("ContentType", "binary/octet-stream")
    metadata = {k.lower(): str(v) for k, v in (request.get("Metadata") or {}).items()}
    size = sum(len(k.encode()) + len(v.encode()) for k, v in metadata.items())
    if size > _MAX_METADATA_BYTES:
        raise _metadata_too_large(size)
    return Details(system=system, metadata=metadata, tags=tags_of_header(request.get("Tagging")))


def described(record: ObjectRecord) -> Answer:
    """An object's headers, for GetObject and HeadObject."""
    details = record.details
    system = dict(details.system)
    if "Expires" in system:
        system["Expires"] = datetime.fromisoformat(system["Expires"])
    answer: Answer = {
        "AcceptRanges": "bytes",
        "LastModified": record.modified,
        "ETag": quoted(record.etag),
        "Metadata": dict(details.metadata),
        **system,
    }
    if details.tags:
        answer["TagCount"] = len(details.tags)
    return answer


def encryption_of(details: Details) -> Answer:
    return {name: details.system[name] for name in _ENCRYPTION if name in details.system}


def quoted(etag: str) -> str:
    return f'"{etag}"'


def owner(account: str) -> dict[str, str]:
    """S3's canonical user id is 64 hexadecimal digits; ours follows from the account."""
    return {"ID": hashlib.sha256(account.encode()).hexdigest(), "DisplayName": "sagedock"}


def checksum_members(checksums: Mapping[str, str]) -> dict[str, str]:
    """By S3's member names, for whole objects: {CRC32: x} → {ChecksumCRC32: x, ChecksumType: …}"""
    members = {f"Checksum{name}": value for name, value in checksums.items()}
    return {**members, "ChecksumType": "FULL_OBJECT"} if members else {}


def tags_of_header(header: str | None) -> dict[str, str]:
    """Tags as x-amz-tagging carries them: a query string. Raises InvalidTag."""
    return _checked(parse_qsl(header or "", keep_blank_values=True))


def tags_of_set(tags: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Tags as a TagSet carries them. Raises InvalidTag."""
    return _checked([(str(tag.get("Key", "")), str(tag.get("Value") or "")) for tag in tags])


def tag_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def token(after: str) -> str:
    """An opaque token for the list that goes on after `after`."""
    return base64.urlsafe_b64encode(after.encode()).decode()


def token_read(sent: str) -> str:
    """Raises InvalidArgument for one that we never gave."""
    try:
        return base64.urlsafe_b64decode(sent).decode()
    except ValueError as error:
        said = "The continuation token provided is incorrect"
        raise invalid_argument(said, "continuation-token", sent) from error


def _checked(pairs: list[tuple[str, str]]) -> dict[str, str]:
    tags = dict(pairs)
    if len(tags) < len(pairs):
        raise invalid_tag("Cannot provide multiple Tags with the same key")
    if len(tags) > _MAX_TAGS:
        raise invalid_tag(f"Object tags cannot be greater than {_MAX_TAGS}: {len(tags)} were sent")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128:
            raise invalid_tag(f"The TagKey you have provided is invalid: {key[:140]!r}")
        if len(value) > 256:
            raise invalid_tag(f"The TagValue you have provided is invalid: {value[:270]!r}")
    return tags


def _metadata_too_large(size: int) -> Exception:
    error = invalid_request(
        "Your metadata headers exceed the maximum allowed metadata size: "
        f"{size} bytes, of {_MAX_METADATA_BYTES}."
    )
    error.code = "MetadataTooLarge"
    return error
