"""The S3 errors sagedock gives, one function each, with S3's own code, status and XML fields.

Codes, statuses and fields: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

from collections.abc import Mapping

from sagedock.errors import ServiceError


def no_such_bucket(bucket: str) -> ServiceError:
    return ServiceError(
        f"The specified bucket does not exist: {bucket}. Create it first (aws s3 mb s3://{bucket}).",
        code="NoSuchBucket",
        status=404,
        fields={"BucketName": bucket},
    )


def no_such_key(key: str) -> ServiceError:
    return ServiceError(
        f"The specified key does not exist: {key}",
        code="NoSuchKey",
        status=404,
        fields={"Key": key},
    )


def no_such_upload(upload: str) -> ServiceError:
    return ServiceError(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed.",
        code="NoSuchUpload",
        status=404,
        fields={"UploadId": upload},
    )


def no_such_version(version: str) -> ServiceError:
    return ServiceError(
        f"The specified version does not exist: {version}. sagedock keeps no versions; the only "
        "version of an object is 'null'.",
        code="NoSuchVersion",
        status=404,
        fields={"VersionId": version},
    )


def bucket_owned_by_you(bucket: str) -> ServiceError:
    return ServiceError(
        f"Your previous request to create the named bucket succeeded and you already own it: "
        f"{bucket}",
        code="BucketAlreadyOwnedByYou",
        status=409,
        fields={"BucketName": bucket},
    )


def bucket_not_empty(bucket: str) -> ServiceError:
    return ServiceError(
        f"The bucket you tried to delete is not empty: {bucket}",
        code="BucketNotEmpty",
        status=409,
        fields={"BucketName": bucket},
    )


def invalid_bucket_name(bucket: str) -> ServiceError:
    return ServiceError(
        f"The specified bucket is not valid: {bucket!r}. A name has 3 to 63 lower-case letters, "
        "digits, dots and hyphens, and begins and ends with a letter or digit.",
        code="InvalidBucketName",
        status=400,
        fields={"BucketName": bucket},
    )


def no_such_tag_set(bucket: str) -> ServiceError:
    return ServiceError(
        "The TagSet does not exist", code="NoSuchTagSet", status=404, fields={"BucketName": bucket}
    )


def key_too_long(key: str, limit: int) -> ServiceError:
    size = len(key.encode("utf-8", "surrogatepass"))
    return ServiceError(
        f"Your key is too long: {size} bytes of UTF-8, and at most {limit} are allowed.",
        code="KeyTooLongError",
        status=400,
        fields={"Size": str(size), "MaxSizeAllowed": str(limit)},
    )


def invalid_argument(message: str, name: str, value: object) -> ServiceError:
    return ServiceError(
        message,
        code="InvalidArgument",
        status=400,
        fields={"ArgumentName": name, "ArgumentValue": str(value)},
    )


def invalid_request(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidRequest", status=400)


def invalid_range(asked: str, size: int) -> ServiceError:
    return ServiceError(
        f"The requested range is not satisfiable: {asked} of {size} bytes",
        code="InvalidRange",
        status=416,
        fields={"RangeRequested": asked, "ActualObjectSize": str(size)},
        headers={"Content-Range": f"bytes */{size}"},
    )


def invalid_tag(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidTag", status=400)


def malformed_xml(message: str) -> ServiceError:
    return ServiceError(message, code="MalformedXML", status=400)


def precondition_failed(condition: str) -> ServiceError:
    return ServiceError(
        f"At least one of the pre-conditions you specified did not hold: {condition}",
        code="PreconditionFailed",
        status=412,
        fields={"Condition": condition},
    )


def not_modified(headers: Mapping[str, str]) -> ServiceError:
    return ServiceError("Not Modified", code="NotModified", status=304, headers=headers)


def bad_digest(algorithm: str, sent: str, calculated: str) -> ServiceError:
    """A checksum that the client sent does not match the bytes. S3 says BadDigest for Content-MD5
    and for x-amz-checksum-* alike."""
    return ServiceError(
        f"The {algorithm} you specified did not match the calculated checksum: {sent} was sent, "
        f"{calculated} was received.",
        code="BadDigest",
        status=400,
        fields={"ExpectedDigest": sent, "CalculatedDigest": calculated},
    )


def invalid_digest(value: str) -> ServiceError:
    return ServiceError(
        f"The Content-MD5 you specified is not valid: {value!r} is not the base64 of 16 bytes.",
        code="InvalidDigest",
        status=400,
        fields={"Content-MD5": value},
    )


def incomplete_body(expected: int, received: int) -> ServiceError:
    return ServiceError(
        f"You did not provide the number of bytes specified: {expected} were announced, "
        f"{received} came.",
        code="IncompleteBody",
        status=400,
        fields={"NumberBytesExpected": str(expected), "NumberBytesProvided": str(received)},
    )


def entity_too_large(size: int, limit: int) -> ServiceError:
    return ServiceError(
        f"Your proposed upload exceeds the maximum allowed size: {size} bytes, of {limit}.",
        code="EntityTooLarge",
        status=400,
        fields={"ProposedSize": str(size), "MaxSizeAllowed": str(limit)},
    )


def entity_too_small(number: int, size: int, minimum: int) -> ServiceError:
    return ServiceError(
        f"Your proposed upload is smaller than the minimum allowed size: part {number} has "
        f"{size} bytes, and every part but the last needs {minimum}.",
        code="EntityTooSmall",
        status=400,
        fields={
            "ProposedSize": str(size),
            "MinSizeAllowed": str(minimum),
            "PartNumber": str(number),
        },
    )


def invalid_part(number: int, why: str) -> ServiceError:
    return ServiceError(
        f"One or more of the specified parts could not be found: part {number} {why}.",
        code="InvalidPart",
        status=400,
        fields={"PartNumber": str(number)},
    )


def invalid_part_order() -> ServiceError:
    return ServiceError(
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
        code="InvalidPartOrder",
        status=400,
    )


def invalid_part_number() -> ServiceError:
    return ServiceError(
        "The requested partnumber is not satisfiable", code="InvalidPartNumber", status=416
    )


def access_denied(message: str) -> ServiceError:
    return ServiceError(message, code="AccessDenied", status=403)


def no_room(error: BaseException) -> ServiceError:
    """507, which no AWS client repeats by itself: trying again does not empty a disk. S3 has no
    such error, having no disk to fill."""
    return ServiceError(
        f"There is no room for this object in sagedock's home ({error}). Nothing was changed. "
        "Delete objects or free space on that disk, then try again.",
        code="InsufficientStorage",
        status=507,
    )


def lost_file(key: str) -> ServiceError:
    return ServiceError(
        f"The file that holds {key} is gone from sagedock's objects folder; something else "
        "deleted it. Upload the object again.",
        code="InternalError",
        status=500,
        fields={"Key": key},
    )
