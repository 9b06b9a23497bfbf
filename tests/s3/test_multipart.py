from __future__ import annotations

import base64
import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from s3.refusals import refused
from sagedock import Emulator

MIB = 1024 * 1024
PART = os.urandom(5 * MIB)


def upload_parts(s3: Any, bucket: str, bodies: list[bytes], **asked: Any) -> tuple[str, Any]:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **asked)["UploadId"]
    told = [
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=i, Body=body)
        for i, body in enumerate(bodies, 1)
    ]
    parts = [{"PartNumber": i, "ETag": each["ETag"]} for i, each in enumerate(told, 1)]
    return upload, parts


def complete(s3: Any, bucket: str, upload: str, parts: Any, **asked: Any) -> Any:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, **asked
    )


def test_parts_become_one_object_in_the_order_of_their_numbers(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [PART, b"end"], ContentType="a/b", Metadata={"m": "v"})

    told = complete(s3, bucket, upload, parts)

    digests = hashlib.md5(PART).digest() + hashlib.md5(b"end").digest()
    assert told["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-2"'
    answer = s3.get_object(Bucket=bucket, Key="k")
    assert answer["Body"].read() == PART + b"end"
    assert (answer["ContentType"], answer["Metadata"]) == ("a/b", {"m": "v"})
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_boto3s_transfer_goes_both_ways(s3: Any, bucket: str, tmp_path: Path) -> None:
    body = os.urandom(11 * MIB)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)

    s3.upload_fileobj(io.BytesIO(body), bucket, "k", Config=config)
    s3.download_file(bucket, "k", str(tmp_path / "down"), Config=config)

    assert (tmp_path / "down").read_bytes() == body
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')


def test_one_part_can_be_read(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [PART, b"end"])
    complete(s3, bucket, upload, parts)

    answer = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)

    assert (answer["Body"].read(), answer["PartsCount"]) == (b"end", 2)
    assert answer["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + 2}/{5 * MIB + 3}"
    with refused("InvalidPartNumber", 416):
        s3.get_object(Bucket=bucket, Key="k", PartNumber=3)


def test_parts_that_do_not_fit_are_refused_and_the_upload_stays(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [b"small", PART])

    with refused("EntityTooSmall", 400, PartNumber="1", MinSizeAllowed=str(5 * MIB)):
        complete(s3, bucket, upload, parts)
    with refused("InvalidPartOrder", 400):
        complete(s3, bucket, upload, parts[::-1])
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": '"other"'}])
    with refused("InvalidPart", 400):
        complete(s3, bucket, upload, [{"PartNumber": 9, "ETag": parts[0]["ETag"]}])
    complete(s3, bucket, upload, parts[1:])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == PART


def test_a_part_is_replaced_by_a_later_one_of_its_number(s3: Any, bucket: str) -> None:
    upload, _ = upload_parts(s3, bucket, [b"first"])
    told = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"second")

    complete(s3, bucket, upload, [{"PartNumber": 1, "ETag": told["ETag"]}])

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"second"


def test_parts_are_copied_from_objects(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=PART + b"tail")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    parts = []
    for number, asked in enumerate([f"bytes=0-{5 * MIB - 1}", f"bytes={5 * MIB}-{5 * MIB + 3}"], 1):
        told = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=asked,
        )  # fmt: skip
        parts.append({"PartNumber": number, "ETag": told["CopyPartResult"]["ETag"]})

    complete(s3, bucket, upload, parts)

    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == PART + b"tail"


def test_uploads_and_parts_are_listed_in_pages(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [b"1", b"2", b"3"])
    s3.create_multipart_upload(Bucket=bucket, Key="other")

    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="k", UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    listed = [[(p["PartNumber"], p["ETag"]) for p in page["Parts"]] for page in pages]
    uploads = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 1}
    )

    etags = [part["ETag"] for part in parts]
    assert listed == [[(1, etags[0]), (2, etags[1])], [(3, etags[2])]]
    assert [[u["Key"] for u in page.get("Uploads", [])] for page in uploads] == [["k"], ["other"]]


def test_a_given_up_upload_leaves_nothing(s3: Any, bucket: str, emulator: Emulator) -> None:
    upload, _ = upload_parts(s3, bucket, [b"1234567"])
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)

    files = (emulator.home.folder / "objects").rglob("*-*")
    assert not any(path.stat().st_size == 7 for path in files)
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_the_checksum_of_the_whole_follows_from_the_parts(s3: Any, bucket: str, kind: str) -> None:
    upload, parts = upload_parts(
        s3, bucket, [PART, b"end"], ChecksumAlgorithm="CRC32", ChecksumType=kind
    )

    told = complete(s3, bucket, upload, parts)

    crcs = [zlib.crc32(body).to_bytes(4, "big") for body in (PART, b"end")]
    whole = zlib.crc32(PART + b"end").to_bytes(4, "big")
    composite = zlib.crc32(b"".join(crcs)).to_bytes(4, "big")
    expected = base64.b64encode(whole if kind == "FULL_OBJECT" else composite).decode()
    assert told["ChecksumCRC32"] == expected + ("" if kind == "FULL_OBJECT" else "-2")
    assert told["ChecksumType"] == kind


def test_a_whole_that_differs_from_what_the_client_expects_is_refused(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [b"abc"], ChecksumAlgorithm="CRC32")

    with refused("InvalidRequest", 400):
        complete(s3, bucket, upload, parts, MpuObjectSize=4)
    with refused("BadDigest", 400):
        complete(s3, bucket, upload, parts, ChecksumCRC32="AAAAAA==-1")
    complete(s3, bucket, upload, parts, MpuObjectSize=3)


def test_a_copy_of_a_multipart_object_has_a_plain_etag(s3: Any, bucket: str) -> None:
    upload, parts = upload_parts(s3, bucket, [PART, b"end"])
    complete(s3, bucket, upload, parts)

    told = s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})

    assert told["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(PART + b"end").hexdigest()}"'
