"""S3's operations on objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sagedock.errors import NotEmulated, ServiceError
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.s3_answers import (
    checksum_members,
    described,
    details_of,
    encryption_of,
    quoted,
    tag_set,
    tags_of_header,
    tags_of_set,
)
from sagedock.services.s3_bodies import IncomingBody, OutgoingBody, known_algorithm
from sagedock.services.s3_conditions import check_copy_source, check_read, write_condition
from sagedock.services.s3_copies import CopySource, digests_of
from sagedock.services.s3_ranges import Selection, select
from sagedock.store.object_errors import invalid_request, malformed_xml
from sagedock.store.object_schema import Details, ObjectRecord
from sagedock.store.objects import Content, Objects, check_key

_MAX_DELETED = 1000
_OVERRIDES = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)


class ObjectOperations:
    service = "s3"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def expect_put(self, request: Request, length: int | None) -> IncomingBody:
        """Called before PutObject's body is read: what can be refused now costs no upload."""
        self._objects.buckets.get(request["Bucket"])
        check_key(request["Key"])
        details_of(request)
        if (condition := write_condition(request)) is not None:
            condition(self._found(request))
        if request.get("WriteOffsetBytes") is not None:
            raise NotEmulated("s3", "appending to objects (WriteOffsetBytes)")
        return IncomingBody(self._objects, request, _wanted_algorithms(request), length)

    @operation("PutObject")
    def put(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html; `Body` is the
        IncomingBody of `expect_put`, finished."""
        body: IncomingBody = request["Body"]
        checksums = checksum_members(body.checksums)
        details = replace(details_of(request), checksums=checksums)
        content = Content(body.hand_over(), body.size, body.etag, details)
        condition = write_condition(request)
        self._objects.commit(request["Bucket"], request["Key"], content, condition)
        return {"ETag": quoted(body.etag), **checksums, **encryption_of(details)}

    @operation("GetObject")
    def get(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
        record, file = self._objects.open_record(request["Bucket"], request["Key"])
        try:
            answer, selection = _read(request, record)
        except BaseException:
            file.close()
            raise
        answer["Body"] = OutgoingBody(file, selection.offset, selection.length)
        return answer

    @operation("HeadObject")
    def head(self, request: Request, context: Context) -> Answer:
        """GetObject without the bytes."""
        return _read(request, self._objects.get(request["Bucket"], request["Key"]))[0]

    @operation("DeleteObject")
    def delete(self, request: Request, context: Context) -> Answer:
        """A key that is not there is deleted all the same (204)."""
        for member in ("IfMatchSize", "IfMatchLastModifiedTime"):
            if request.get(member) is not None:
                raise NotEmulated("s3", f"deletes with {member}", "S3 has it in directory buckets.")
        condition = write_condition(request)
        self._objects.delete(request["Bucket"], [request["Key"]], condition)
        return {}

    @operation("DeleteObjects")
    def delete_many(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html: up to 1,000
        keys; `Quiet` tells of failures only."""
        asked = request["Delete"].get("Objects") or ()
        if not 1 <= len(asked) <= _MAX_DELETED:
            raise malformed_xml(
                f"DeleteObjects takes 1 to {_MAX_DELETED} keys, and {len(asked)} were sent."
            )
        plain = [entry["Key"] for entry in asked if not entry.get("ETag")]
        self._objects.delete(request["Bucket"], plain)
        deleted = [{"Key": key} for key in plain]
        errors: list[dict[str, str]] = []
        for entry in asked:
            if entry.get("ETag"):
                refused = self._delete_matching(request["Bucket"], entry)
                (errors if refused else deleted).append(refused or {"Key": entry["Key"]})
        answer: Answer = {} if request["Delete"].get("Quiet") else {"Deleted": deleted}
        return {**answer, "Errors": errors} if errors else answer

    @operation("CopyObject")
    def copy(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html

        The bytes are not copied: both files are links to them, and never change. The copy of a
        multipart object is a plain one, with the MD5 of its bytes as its ETag.
        """
        source = CopySource.of(request)
        files, algorithm = self._objects.files, request.get("ChecksumAlgorithm")
        names = [known_algorithm(algorithm)] if algorithm else []

        def take(record: ObjectRecord) -> tuple[str, Details]:
            check_copy_source(request, record)
            details = self._copied_details(request, source, record)
            return files.duplicate(record.file), details

        record, (file, details) = self._objects.with_file(source.bucket, source.key, take)
        etag = record.etag
        if record.details.part_sizes or names:
            etag, checksums = digests_of(files.path(file), names)
            details = replace(details, checksums=checksum_members(checksums))
        made = self._objects.commit(
            request["Bucket"],
            request["Key"],
            Content(file, record.size, etag, details),
            write_condition(request),
        )
        result = {"ETag": quoted(etag), "LastModified": made.modified, **details.checksums}
        return {"CopyObjectResult": result, **encryption_of(details)}

    @operation("GetObjectAttributes")
    def attributes(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html"""
        record = self._objects.get(request["Bucket"], request["Key"])
        wanted = request["ObjectAttributes"]
        details = record.details
        known: Answer = {
            "ETag": record.etag,
            "ObjectSize": record.size,
            "StorageClass": details.system.get("StorageClass", "STANDARD"),
        }
        if details.checksums:
            known["Checksum"] = dict(details.checksums)
        if details.part_sizes:
            known["ObjectParts"] = {"TotalPartsCount": len(details.part_sizes)}
        answer = {name: value for name, value in known.items() if name in wanted}
        return {"LastModified": record.modified, **answer}

    @operation("GetObjectTagging")
    def tagging(self, request: Request, context: Context) -> Answer:
        record = self._objects.get(request["Bucket"], request["Key"])
        return {"TagSet": tag_set(record.details.tags)}

    @operation("PutObjectTagging")
    def tag(self, request: Request, context: Context) -> Answer:
        tags = tags_of_set(request["Tagging"].get("TagSet") or ())
        self._objects.change_tags(request["Bucket"], request["Key"], tags)
        return {}

    @operation("DeleteObjectTagging")
    def untag(self, request: Request, context: Context) -> Answer:
        self._objects.change_tags(request["Bucket"], request["Key"], {})
        return {}

    def _found(self, request: Request) -> ObjectRecord | None:
        try:
            return self._objects.get(request["Bucket"], request["Key"])
        except ServiceError as error:
            if error.code != "NoSuchKey":
                raise
            return None

    def _delete_matching(self, bucket: str, entry: Mapping[str, Any]) -> dict[str, str] | None:
        """The entry's error, None when it was deleted."""
        condition = write_condition({"IfMatch": entry["ETag"], "Key": entry["Key"]})
        try:
            self._objects.delete(bucket, [entry["Key"]], condition)
        except ServiceError as error:
            return {"Key": entry["Key"], "Code": error.code, "Message": error.message}
        return None

    def _copied_details(
        self, request: Request, source: CopySource, record: ObjectRecord
    ) -> Details:
        asked, kept = details_of(request), record.details
        replaces = request.get("MetadataDirective") == "REPLACE"
        changes = replaces or encryption_of(asked) or request.get("StorageClass")
        is_itself = (source.bucket, source.key) == (request["Bucket"], request["Key"])
        if is_itself and not changes:
            raise invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself "
                "without changing the object's metadata, storage class, website redirect location "
                "or encryption attributes."
            )
        if replaces:
            made = replace(asked, tags=kept.tags)
        else:
            system = {**kept.system, **encryption_of(asked)}
            if request.get("StorageClass"):
                system["StorageClass"] = request["StorageClass"]
            made = Details(system=system, metadata=kept.metadata, tags=kept.tags)
        if request.get("TaggingDirective") == "REPLACE":
            made = replace(made, tags=tags_of_header(request.get("Tagging")))
        return replace(made, checksums=kept.checksums, part_sizes=())


def _wanted_algorithms(request: Request) -> list[str]:
    algorithm = request.get("ChecksumAlgorithm")
    return [known_algorithm(algorithm)] if algorithm else []


def _read(request: Request, record: ObjectRecord) -> tuple[Answer, Selection]:
    """What GetObject and HeadObject answer, and which bytes."""
    check_read(request, record)
    selection = select(request, record)
    answer = described(record)
    for name in _OVERRIDES:
        if (value := request.get(f"Response{name}")) is not None:
            answer[name] = value
    answer["ContentLength"] = selection.length
    if selection.content_range:
        answer["ContentRange"] = selection.content_range
    elif request.get("ChecksumMode") == "ENABLED":
        answer.update(record.details.checksums)
    if request.get("PartNumber") is not None and record.details.part_sizes:
        answer["PartsCount"] = len(record.details.part_sizes)
    return answer, selection
