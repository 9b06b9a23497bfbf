"""S3: the groups of its operations over one store of objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sagedock.services.operation import Operation, Request, dispatch_table
from sagedock.services.s3_bodies import IncomingBody
from sagedock.services.s3_buckets import BucketOperations
from sagedock.services.s3_listing import ListingOperations
from sagedock.services.s3_multipart import MultipartOperations
from sagedock.services.s3_objects import ObjectOperations
from sagedock.store.multipart import MultipartUploads
from sagedock.store.objects import Objects

Expect = Callable[[Request, "int | None"], IncomingBody]
"""Checks a request whose body is still to come, of so many bytes if known, and opens its file."""

S3_GROUPS: Final = (BucketOperations, ListingOperations, ObjectOperations, MultipartOperations)


class S3:
    """`operations` by (service, operation), and `expectations`: what is asked before the body of
    PutObject and UploadPart is read."""

    def __init__(self, objects: Objects) -> None:
        plain = ObjectOperations(objects)
        multipart = MultipartOperations(objects, MultipartUploads(objects))
        self.operations: Final[Mapping[tuple[str, str], Operation]] = dispatch_table(
            BucketOperations(objects), ListingOperations(objects), plain, multipart
        )
        self.expectations: Final[Mapping[str, Expect]] = {
            "PutObject": plain.expect_put,
            "UploadPart": multipart.expect_part,
        }
