"""When S3 refuses to read, or to replace, because of what is there: If-Match and its relatives.

Reads: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html
Writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime

from sagedock.errors import NotEmulated, ServiceError
from sagedock.services.operation import Request
from sagedock.store.object_errors import no_such_key, not_modified, precondition_failed
from sagedock.store.object_schema import ObjectRecord
from sagedock.store.objects import Condition


def check_read(request: Request, record: ObjectRecord) -> None:
    """Raises PreconditionFailed (412) or NotModified (304).

    The order is S3's: a matching If-Match outweighs If-Unmodified-Since, and a matching
    If-None-Match outweighs If-Modified-Since.
    """
    if (wanted := request.get("IfMatch")) is not None:
        if not _matches(wanted, record.etag):
            raise precondition_failed("If-Match")
    elif (moment := request.get("IfUnmodifiedSince")) is not None and _is_newer(record, moment):
        raise precondition_failed("If-Unmodified-Since")
    if (unwanted := request.get("IfNoneMatch")) is not None:
        if _matches(unwanted, record.etag):
            raise _unchanged(record)
    elif (moment := request.get("IfModifiedSince")) is not None and not _is_newer(record, moment):
        raise _unchanged(record)


def check_copy_source(request: Request, record: ObjectRecord) -> None:
    """The same for the source of a copy, where every refusal is a 412."""
    conditions = {
        name: request.get(f"CopySource{name}")
        for name in ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
    }
    try:
        check_read(conditions, record)
    except ServiceError as refused:
        if refused.status != 304:
            raise
        raise precondition_failed("x-amz-copy-source-If-None-Match") from refused


def write_condition(request: Request) -> Condition | None:
    """What a write asks of the object it would replace; None when it asks nothing."""
    absent, wanted = request.get("IfNoneMatch"), request.get("IfMatch")
    if absent is not None and absent != "*":
        raise NotEmulated("s3", "writes with an If-None-Match other than *", "S3 has none either.")
    if absent is None and wanted is None:
        return None

    def condition(replaced: ObjectRecord | None) -> None:
        if absent is not None and replaced is not None:
            raise precondition_failed("If-None-Match")
        if wanted is None:
            return
        if replaced is None:
            raise no_such_key(str(request.get("Key", "")))
        if not _matches(wanted, replaced.etag):
            raise precondition_failed("If-Match")

    return condition


def _matches(wanted: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in wanted.split(",")]
    return "*" in tags or etag in tags


def _is_newer(record: ObjectRecord, moment: datetime) -> bool:
    """HTTP's dates have whole seconds."""
    return record.modified.replace(microsecond=0) > moment


def _unchanged(record: ObjectRecord) -> ServiceError:
    stamp = format_datetime(record.modified.replace(microsecond=0), usegmt=True)
    return not_modified({"ETag": f'"{record.etag}"', "Last-Modified": stamp})
