"""Is the data that a request names in S3?"""

from __future__ import annotations

from sagedock.errors import ServiceError
from sagedock.lifecycle.object_store import split_uri
from sagedock.services.sagemaker.rooms import ObjectLookup

_HTTPS = "https://"
_ABSENT = frozenset({"NoSuchBucket", "NoSuchKey"})


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Of s3://bucket/key, or of https://s3.region.amazonaws.com/bucket/key, which the API takes
    as well (botocore shape S3Uri)."""
    if not uri.startswith(_HTTPS):
        return split_uri(uri)
    _, _, path = uri[len(_HTTPS) :].partition("/")
    bucket, _, key = path.partition("/")
    return bucket, key


def is_object(objects: ObjectLookup, uri: str) -> bool:
    """Whether an object has exactly this address."""
    try:
        objects.get(*bucket_and_key(uri))
    except ServiceError as error:
        if error.code in _ABSENT:
            return False
        raise
    return True


def is_prefix(objects: ObjectLookup, uri: str) -> bool:
    """Whether an object's address begins so: S3 knows no folders."""
    try:
        return objects.exists_under(*bucket_and_key(uri))
    except ServiceError as error:
        if error.code in _ABSENT:
            return False
        raise
