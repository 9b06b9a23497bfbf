from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

from s3.refusals import refused


def crc32_of(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def test_what_was_put_comes_back_with_all_that_went_with_it(s3: Any, bucket: str) -> None:
    told = s3.put_object(
        Bucket=bucket,
        Key="a b/ü+&%.bin",
        Body=b"bytes",
        ContentType="text/x",
        CacheControl="no-cache",
        ContentEncoding="gzip",
        Metadata={"m": "v"},
        Tagging="team=vision&empty=",
        ServerSideEncryption="aws:kms",
        SSEKMSKeyId="key-1",
    )
    answer = s3.get_object(Bucket=bucket, Key="a b/ü+&%.bin")

    assert told["ETag"] == answer["ETag"] == f'"{hashlib.md5(b"bytes").hexdigest()}"'
    assert told["SSEKMSKeyId"] == answer["SSEKMSKeyId"] == "key-1"
    assert answer["Body"].read() == b"bytes"
    kept = answer["ContentType"], answer["CacheControl"], answer["ContentEncoding"]
    assert kept == ("text/x", "no-cache", "gzip")
    assert (answer["Metadata"], answer["TagCount"]) == ({"m": "v"}, 2)


def test_without_a_type_it_is_binary(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="empty")

    answer = s3.get_object(Bucket=bucket, Key="empty")
    assert (answer["ContentType"], answer["ContentLength"]) == ("binary/octet-stream", 0)


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_a_checksum_is_kept_and_given_back(s3: Any, bucket: str, algorithm: str) -> None:
    told = s3.put_object(Bucket=bucket, Key="k", Body=b"bytes", ChecksumAlgorithm=algorithm)
    answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")

    member = f"Checksum{algorithm}"
    assert told[member] == answer[member]
    assert answer["ChecksumType"] == "FULL_OBJECT"
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]


@pytest.mark.parametrize(
    "wrong",
    [
        {"ChecksumCRC32": crc32_of(b"others")},
        {"ChecksumSHA256": base64.b64encode(b"0" * 32).decode()},
        {"ChecksumCRC32C": base64.b64encode(b"0" * 4).decode()},
        {"ChecksumCRC64NVME": base64.b64encode(b"0" * 8).decode()},
        {"ContentMD5": base64.b64encode(b"0" * 16).decode()},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_bytes_are_refused_and_the_old_ones_kept(
    s3: Any, bucket: str, wrong: dict[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"bytes", **wrong)

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_a_digest_that_is_none_is_refused(s3: Any, bucket: str) -> None:
    with refused("InvalidDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5="no digest")

    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_checksum_that_sagedock_cannot_compute_is_refused_plainly(s3: Any, bucket: str) -> None:
    with refused("NotImplemented", 501):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumXXHASH64="AAAAAAAAAAA=")

    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_put_if_absent_and_put_if_unchanged(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]

    with refused("PreconditionFailed", 412, Condition="If-None-Match"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412, Condition="If-Match"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"')
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"2", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_metadata_of_more_than_2_kb_is_refused(s3: Any, bucket: str) -> None:
    with refused("MetadataTooLarge", 400):
        s3.put_object(Bucket=bucket, Key="k", Metadata={"m": "v" * 2048})

    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_copy_has_the_bytes_and_what_went_with_them(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="ü 1", Body=b"b", Metadata={"m": "v"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "ü 1"}

    s3.copy_object(Bucket=bucket, Key="same", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="new", CopySource=source, MetadataDirective="REPLACE",
        Metadata={"n": "w"}, TaggingDirective="REPLACE", Tagging="t=2",
    )  # fmt: skip
    s3.delete_object(Bucket=bucket, Key="ü 1")

    same, new = (s3.get_object(Bucket=bucket, Key=key) for key in ("same", "new"))
    assert (same["Body"].read(), same["Metadata"]) == (b"b", {"m": "v"})
    assert (new["Body"].read(), new["Metadata"]) == (b"b", {"n": "w"})
    assert s3.get_object_tagging(Bucket=bucket, Key="new")["TagSet"] == [{"Key": "t", "Value": "2"}]


def test_a_copy_onto_itself_must_change_something(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"b")
    source = {"Bucket": bucket, "Key": "k"}

    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", ContentType="a/b"
    )

    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "a/b"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"b"


def test_a_copy_whose_source_has_changed_is_refused(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"b")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}

    with refused("PreconditionFailed", 412):
        s3.copy_object(Bucket=bucket, Key="c", CopySource=source, CopySourceIfNoneMatch=etag)
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "none"})

    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_many_keys_are_deleted_at_once(s3: Any, bucket: str) -> None:
    etag = ""
    for key in ("a", "b", "c"):
        etag = s3.put_object(Bucket=bucket, Key=key, Body=key.encode())["ETag"]
    objects = [
        {"Key": "a"},
        {"Key": "none"},
        {"Key": "b", "ETag": '"other"'},
        {"Key": "c", "ETag": etag},
    ]

    told = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})

    assert [each["Key"] for each in told["Deleted"]] == ["a", "none", "c"]
    assert [(each["Key"], each["Code"]) for each in told["Errors"]] == [("b", "PreconditionFailed")]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b"]


def test_more_than_a_thousand_keys_are_too_many(s3: Any, bucket: str) -> None:
    keys = [{"Key": "k" * 1000 + str(i)} for i in range(1001)]
    s3.put_object(Bucket=bucket, **keys[0])

    with refused("MalformedXML", 400):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1

    s3.delete_objects(Bucket=bucket, Delete={"Objects": keys[:1000], "Quiet": True})
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_tags_of_an_object_are_changed_and_removed(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"b", Tagging="a=1")
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "b", "Value": "2"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "b", "Value": "2"}]

    s3.delete_object_tagging(Bucket=bucket, Key="k")

    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    with refused("InvalidTag", 400):
        s3.put_object(Bucket=bucket, Key="k", Tagging="&".join(f"{i}=" for i in range(11)))


def test_attributes_tell_size_and_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"bytes", ChecksumAlgorithm="CRC32")

    told = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum"]
    )

    assert (told["ObjectSize"], told["ETag"]) == (5, hashlib.md5(b"bytes").hexdigest())
    assert told["Checksum"]["ChecksumCRC32"] == crc32_of(b"bytes")
