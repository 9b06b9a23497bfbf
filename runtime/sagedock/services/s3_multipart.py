"""S3's operations on multipart uploads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sagedock.errors import NotEmulated
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.s3_answers import checksum_members, details_of, encryption_of, owner, quoted
from sagedock.services.s3_bodies import IncomingBody, known_algorithm
from sagedock.services.s3_conditions import check_copy_source, write_condition
from sagedock.services.s3_copies import CopySource, digests_of
from sagedock.services.s3_ranges import copied_range
from sagedock.store.checksums import FULL_OBJECT_ALGORITHMS
from sagedock.store.multipart import MAX_PARTS, MultipartUploads, NamedPart
from sagedock.store.object_errors import bad_digest, invalid_argument, invalid_request
from sagedock.store.object_schema import ObjectRecord, Part, Upload
from sagedock.store.objects import Content, Objects

_PAGE = 1000


class MultipartOperations:
    service = "s3"

    def __init__(self, objects: Objects, uploads: MultipartUploads) -> None:
        self._objects = objects
        self._uploads = uploads

    @operation("CreateMultipartUpload")
    def create(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html"""
        algorithm, kind = _checksum_plan(request)
        upload = self._uploads.create(
            request["Bucket"], request["Key"], details_of(request), algorithm, kind
        )
        answer = _names(upload)
        if algorithm:
            answer |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
        return {**answer, **encryption_of(upload.details)}

    def expect_part(self, request: Request, length: int | None) -> IncomingBody:
        """Called before UploadPart's body is read: what can be refused now costs no upload."""
        upload = self._upload(request)
        _check_number(request["PartNumber"])
        algorithms = {upload.checksum_algorithm, request.get("ChecksumAlgorithm")} - {None}
        known = [known_algorithm(str(name)) for name in algorithms]
        return IncomingBody(self._objects, request, known, length)

    @operation("UploadPart")
    def put_part(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html; `Body` is the
        IncomingBody of `expect_part`, finished."""
        body: IncomingBody = request["Body"]
        upload = self._upload(request)
        checksum = body.checksums.get(upload.checksum_algorithm or "")
        content = Content(body.hand_over(), body.size, body.etag)
        self._uploads.put_part(upload, request["PartNumber"], content, checksum)
        checksums = checksum_members(body.checksums)
        checksums.pop("ChecksumType", None)
        return {"ETag": quoted(body.etag), **checksums, **encryption_of(upload.details)}

    @operation("UploadPartCopy")
    def copy_part(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html"""
        upload = self._upload(request)
        _check_number(request["PartNumber"])
        source = CopySource.of(request)
        files = self._objects.files

        def take(record: ObjectRecord) -> tuple[str, int]:
            check_copy_source(request, record)
            offset, length = copied_range(request.get("CopySourceRange"), record.size)
            return files.join([(record.file, offset, length)]), length

        _, (file, length) = self._objects.with_file(source.bucket, source.key, take)
        algorithm = upload.checksum_algorithm
        etag, checksums = digests_of(files.path(file), [algorithm] if algorithm else [])
        part = self._uploads.put_part(
            upload,
            request["PartNumber"],
            Content(file, length, etag),
            checksums.get(algorithm or ""),
        )
        result = {"ETag": quoted(etag), "LastModified": part.modified}
        result |= {f"Checksum{name}": value for name, value in checksums.items()}
        return {"CopyPartResult": result, **encryption_of(upload.details)}

    @operation("CompleteMultipartUpload")
    def complete(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html"""
        upload = self._upload(request)
        sent = (request.get("MultipartUpload") or {}).get("Parts") or ()
        member = f"Checksum{upload.checksum_algorithm}"
        named = [NamedPart(p["PartNumber"], p.get("ETag", ""), p.get(member)) for p in sent]
        for part in named:
            _check_number(part.number)
        record = self._uploads.complete(
            upload, named, write_condition(request), _verification(request)
        )
        return {
            "Location": f"http://{upload.bucket}.s3.amazonaws.com/{upload.key}",
            "Bucket": upload.bucket,
            "Key": upload.key,
            "ETag": quoted(record.etag),
            **record.details.checksums,
            **encryption_of(record.details),
        }

    @operation("AbortMultipartUpload")
    def abort(self, request: Request, context: Context) -> Answer:
        self._uploads.abort(request["Bucket"], request["Key"], request["UploadId"])
        return {}

    @operation("ListParts")
    def list_parts(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html"""
        upload = self._upload(request)
        limit = _limit(request.get("MaxParts"))
        after = int(request.get("PartNumberMarker") or 0)
        found = self._uploads.parts(upload, after, limit + 1)
        shown = found[:limit]
        answer = {
            **_names(upload),
            "PartNumberMarker": after,
            "MaxParts": limit,
            "IsTruncated": len(found) > limit,
            "Parts": [_part(part, upload.checksum_algorithm) for part in shown],
            "StorageClass": upload.details.system.get("StorageClass", "STANDARD"),
            "Owner": owner(context.account),
        }
        if shown:
            answer["NextPartNumberMarker"] = shown[-1].number
        if upload.checksum_algorithm:
            answer["ChecksumAlgorithm"] = upload.checksum_algorithm
            answer["ChecksumType"] = upload.checksum_type
        return answer

    @operation("ListMultipartUploads")
    def list(self, request: Request, context: Context) -> Answer:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html"""
        if request.get("Delimiter"):
            raise NotEmulated("s3", "ListMultipartUploads with a delimiter", "Use Prefix.")
        limit = _limit(request.get("MaxUploads"))
        marker = request.get("KeyMarker") or ""
        # Without an upload id the marker's key is passed wholly: no id sorts above U+10FFFF.
        last_id = request.get("UploadIdMarker") or ("\U0010ffff" if marker else "")
        prefix = request.get("Prefix") or ""
        shown, has_more = self._uploads.page(request["Bucket"], prefix, (marker, last_id), limit)
        answer = {
            "Bucket": request["Bucket"],
            "KeyMarker": marker,
            "UploadIdMarker": request.get("UploadIdMarker") or "",
            "Prefix": prefix,
            "MaxUploads": limit,
            "IsTruncated": has_more,
            "Uploads": [_upload_entry(upload, context) for upload in shown],
        }
        if has_more:
            answer |= {"NextKeyMarker": shown[-1].key, "NextUploadIdMarker": shown[-1].id}
        return answer

    def _upload(self, request: Request) -> Upload:
        return self._uploads.get(request["Bucket"], request["Key"], request["UploadId"])


def _checksum_plan(request: Request) -> tuple[str | None, str | None]:
    """Algorithm and type; S3's own defaults: CRC64NVME is always of the full object, the other
    algorithms are checksums of checksums unless the client says otherwise."""
    algorithm, kind = request.get("ChecksumAlgorithm"), request.get("ChecksumType")
    if not algorithm:
        return None, None
    known_algorithm(algorithm)
    kind = kind or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    if kind == "FULL_OBJECT" and algorithm not in FULL_OBJECT_ALGORITHMS:
        raise _bad_plan(kind, algorithm)
    if kind == "COMPOSITE" and algorithm == "CRC64NVME":
        raise _bad_plan(kind, algorithm)
    return algorithm, kind


def _bad_plan(kind: str, algorithm: str) -> Exception:
    return invalid_request(
        f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."
    )


def _verification(request: Request) -> Callable[[Content], None]:
    """Compares what the client expects of the whole with what the parts make."""

    def verify(content: Content) -> None:
        size = request.get("MpuObjectSize")
        if size is not None and int(size) != content.size:
            raise invalid_request(
                f"The provided 'x-amz-mp-object-size' header value {size} does not match what was "
                f"computed: {content.size}"
            )
        for member, value in content.details.checksums.items():
            if member != "ChecksumType" and request.get(member) not in (None, value):
                raise bad_digest(member.removeprefix("Checksum"), request[member], value)

    return verify


def _check_number(number: int) -> None:
    if not 1 <= number <= MAX_PARTS:
        said = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise invalid_argument(said, "partNumber", number)


def _limit(asked: int | None) -> int:
    return _PAGE if asked is None else max(1, min(int(asked), _PAGE))


def _names(upload: Upload) -> dict[str, Any]:
    return {"Bucket": upload.bucket, "Key": upload.key, "UploadId": upload.id}


def _part(part: Part, algorithm: str | None) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "PartNumber": part.number,
        "LastModified": part.modified,
        "ETag": quoted(part.etag),
        "Size": part.size,
    }
    if algorithm and part.checksum:
        entry[f"Checksum{algorithm}"] = part.checksum
    return entry


def _upload_entry(upload: Upload, context: Context) -> dict[str, Any]:
    entry = {
        "UploadId": upload.id,
        "Key": upload.key,
        "Initiated": upload.initiated,
        "StorageClass": upload.details.system.get("StorageClass", "STANDARD"),
        "Owner": owner(context.account),
        "Initiator": owner(context.account),
    }
    if upload.checksum_algorithm:
        entry["ChecksumAlgorithm"] = upload.checksum_algorithm
        entry["ChecksumType"] = upload.checksum_type
    return entry
