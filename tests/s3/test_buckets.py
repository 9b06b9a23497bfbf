from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from s3.refusals import refused
from sagedock import Emulator


def test_a_bucket_is_made_listed_and_deleted(s3: Any, bucket: str) -> None:
    listed = {each["Name"]: each["CreationDate"] for each in s3.list_buckets()["Buckets"]}
    assert listed[bucket].tzinfo is not None

    s3.delete_bucket(Bucket=bucket)

    with refused("404", 404):
        s3.head_bucket(Bucket=bucket)
    with refused("NoSuchBucket", 404, BucketName=bucket):
        s3.list_objects_v2(Bucket=bucket)


def test_us_east_1_lets_one_make_ones_own_bucket_again(s3: Any, bucket: str) -> None:
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_another_region_wants_its_name_and_makes_no_bucket_twice(emulator: Emulator) -> None:
    irish = boto3.client("s3", **{**emulator.client_kwargs, "region_name": "eu-west-1"})
    with refused("IllegalLocationConstraintException", 400):
        irish.create_bucket(Bucket="irish")
    configuration = {"LocationConstraint": "eu-west-1"}
    irish.create_bucket(Bucket="irish", CreateBucketConfiguration=configuration)

    with refused("BucketAlreadyOwnedByYou", 409, BucketName="irish"):
        irish.create_bucket(Bucket="irish", CreateBucketConfiguration=configuration)
    assert irish.get_bucket_location(Bucket="irish")["LocationConstraint"] == "eu-west-1"
    assert irish.head_bucket(Bucket="irish")["BucketRegion"] == "eu-west-1"


@pytest.mark.parametrize("name", ["UPPER", "ab", "under_score", "192.168.1.1", "a..b", "-a-b"])
def test_a_name_that_s3_would_not_have_is_refused(emulator: Emulator, name: str) -> None:
    request = urllib.request.Request(f"{emulator.url}/{name}", method="PUT")
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request)

    assert answer.value.code == 400
    assert b"<Code>InvalidBucketName</Code>" in answer.value.read()


def test_a_bucket_with_an_object_is_not_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")

    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=bucket)

    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_a_bucket_goes_with_its_unfinished_uploads(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")

    s3.delete_bucket(Bucket=bucket)

    with refused("NoSuchBucket", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_another_owner_is_denied_every_operation(s3: Any, bucket: str) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="000000000000")
    with refused("403", 403):
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="999999999999")
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="999999999999")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_buckets_are_listed_in_pages_when_asked(s3: Any) -> None:
    for i in range(3):
        s3.create_bucket(Bucket=f"paged-{i}")

    pages = s3.get_paginator("list_buckets").paginate(
        Prefix="paged-", PaginationConfig={"PageSize": 2}
    )

    names = [[each["Name"] for each in page["Buckets"]] for page in pages]
    assert names == [["paged-0", "paged-1"], ["paged-2"]]


def test_tags_of_a_bucket_are_kept_until_removed(s3: Any, bucket: str) -> None:
    tags = [{"Key": "team", "Value": "vision"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags

    s3.delete_bucket_tagging(Bucket=bucket)

    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket=bucket)


def test_versioning_was_never_enabled(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    with refused("NoSuchVersion", 404):
        s3.get_object(Bucket=bucket, Key="k", VersionId="3L4kqtJlcpXroDTDmJ")


def test_what_is_not_emulated_says_so(client: Callable[..., Any], bucket: str) -> None:
    with refused("NotImplemented", 501, Operation="PutBucketPolicy"):
        client("s3").put_bucket_policy(Bucket=bucket, Policy="{}")
