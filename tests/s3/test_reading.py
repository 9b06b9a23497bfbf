from __future__ import annotations

import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from s3.refusals import refused

BODY = bytes(range(256)) * 40


@pytest.fixture
def key(s3: Any, bucket: str) -> str:
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    return "k"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=10-19", 10, 19), ("bytes=10-", 10, 10239), ("bytes=-5", 10235, 10239),
     ("bytes=0-99999", 0, 10239), ("bytes=-99999", 0, 10239)],
)  # fmt: skip
def test_a_range_gives_its_bytes(
    s3: Any, bucket: str, key: str, asked: str, first: int, last: int
) -> None:
    answer = s3.get_object(Bucket=bucket, Key=key, Range=asked)

    assert answer["Body"].read() == BODY[first : last + 1]
    assert answer["ContentRange"] == f"bytes {first}-{last}/10240"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert s3.head_object(Bucket=bucket, Key=key, Range=asked)["ContentLength"] == last - first + 1


@pytest.mark.parametrize("asked", ["bytes=5-1", "lines=1-2", "bytes=0-1,5-6", "bytes=-"])
def test_what_is_no_range_gives_the_whole(s3: Any, bucket: str, key: str, asked: str) -> None:
    answer = s3.get_object(Bucket=bucket, Key=key, Range=asked)

    assert (answer["ContentLength"], answer.get("ContentRange")) == (len(BODY), None)


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=10240-10250", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(s3: Any, bucket: str, key: str, asked: str) -> None:
    with refused("InvalidRange", 416, ActualObjectSize="10240", RangeRequested=asked):
        s3.get_object(Bucket=bucket, Key=key, Range=asked)


def test_conditions_on_the_etag(s3: Any, bucket: str, key: str) -> None:
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]

    assert s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["ContentLength"] == len(BODY)
    with refused("PreconditionFailed", 412, Condition="If-Match"):
        s3.get_object(Bucket=bucket, Key=key, IfMatch='"other"')
    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key=key, IfNoneMatch=etag)
    assert s3.get_object(Bucket=bucket, Key=key, IfNoneMatch='"other"')["ETag"] == etag


def test_conditions_on_the_time(s3: Any, bucket: str, key: str) -> None:
    now = datetime.now(timezone.utc)
    hour = timedelta(hours=1)

    with refused("304", 304):
        s3.get_object(Bucket=bucket, Key=key, IfModifiedSince=now + hour)
    with refused("PreconditionFailed", 412):
        s3.get_object(Bucket=bucket, Key=key, IfUnmodifiedSince=now - hour)
    s3.get_object(Bucket=bucket, Key=key, IfModifiedSince=now - hour)
    etag = s3.head_object(Bucket=bucket, Key=key, IfUnmodifiedSince=now + hour)["ETag"]
    s3.get_object(Bucket=bucket, Key=key, IfMatch=etag, IfUnmodifiedSince=now - hour)


def test_unchanged_bytes_are_answered_with_their_headers_alone(
    s3: Any, bucket: str, key: str
) -> None:
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]

    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": etag}))

    assert answer.value.code == 304
    assert (answer.value.headers["ETag"], answer.value.read()) == (etag, b"")


def test_a_presigned_address_may_set_the_answers_headers(s3: Any, bucket: str, key: str) -> None:
    asked = {"ResponseContentType": "text/csv", "ResponseContentDisposition": "attachment"}
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key, **asked})

    with urllib.request.urlopen(url) as answer:
        assert answer.read() == BODY
    assert answer.headers["Content-Type"] == "text/csv"
    assert answer.headers["Content-Disposition"] == "attachment"


def test_an_expired_address_is_denied(s3: Any, bucket: str, key: str) -> None:
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=-1
    )

    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(url)

    text = answer.value.read()
    assert answer.value.code == 403
    assert b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in text


def test_a_large_object_comes_whole_and_a_client_may_leave_in_the_middle(
    s3: Any, bucket: str
) -> None:
    body = BODY * 400  # 4 MB: more than the sockets hold
    s3.put_object(Bucket=bucket, Key="large", Body=body)
    left = s3.get_object(Bucket=bucket, Key="large")["Body"]
    left.read(10)
    left.close()

    assert s3.get_object(Bucket=bucket, Key="large")["Body"].read() == body
    assert (
        s3.get_object(Bucket=bucket, Key="large", Range="bytes=1-2000000")["Body"].read()
        == (body[1:2000001])
    )


def test_an_unknown_key_is_named(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404, Key="none"):
        s3.get_object(Bucket=bucket, Key="none")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="none")
