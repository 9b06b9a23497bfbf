from __future__ import annotations

from typing import Any

import pytest

from s3.refusals import refused

KEYS = ["a", "b/1", "b/2", "b/c/3", "b0", "ü", "x y", "x&<>y", "x\ny", "z//1"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def pages_of(s3: Any, operation: str, size: int, **asked: Any) -> list[list[str]]:
    pages = s3.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **asked)
    return [
        [each["Key"] for each in page.get("Contents", [])]
        + [each["Prefix"] for each in page.get("CommonPrefixes", [])]
        for page in pages
    ]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_pages_hold_every_key_once_by_its_bytes(s3: Any, filled: str, operation: str) -> None:
    pages = pages_of(s3, operation, 3, Bucket=filled)

    assert [key for page in pages for key in page] == sorted(KEYS, key=str.encode)
    assert [len(page) for page in pages] == [3, 3, 3, 1]


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
def test_a_delimiter_folds_and_pages_go_on_behind_the_fold(
    s3: Any, filled: str, operation: str
) -> None:
    pages = pages_of(s3, operation, 2, Bucket=filled, Delimiter="/")

    found = [key for page in pages for key in page]
    assert sorted(found) == sorted(["a", "b/", "b0", "ü", "x y", "x&<>y", "x\ny", "z/"])


def test_a_prefix_with_a_delimiter_is_a_folder(s3: Any, filled: str) -> None:
    listed = s3.list_objects_v2(Bucket=filled, Prefix="b/", Delimiter="/")

    assert [each["Key"] for each in listed["Contents"]] == ["b/1", "b/2"]
    assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["b/c/"]
    assert (listed["KeyCount"], listed["IsTruncated"]) == (3, False)


def test_a_list_may_start_after_a_key(s3: Any, filled: str) -> None:
    listed = s3.list_objects_v2(Bucket=filled, StartAfter="b/2", MaxKeys=2)

    assert [each["Key"] for each in listed["Contents"]] == ["b/c/3", "b0"]
    assert (listed["StartAfter"], listed["IsTruncated"]) == ("b/2", True)


def test_no_key_at_all_may_be_asked_for(s3: Any, filled: str) -> None:
    listed = s3.list_objects_v2(Bucket=filled, MaxKeys=0)

    assert (listed["KeyCount"], listed["IsTruncated"]) == (0, False)


def test_an_entry_tells_what_a_client_needs(s3: Any, filled: str) -> None:
    listed = s3.list_objects_v2(Bucket=filled, Prefix="a", FetchOwner=True)
    entry = listed["Contents"][0]
    head = s3.head_object(Bucket=filled, Key="a")

    assert (entry["Size"], entry["ETag"], entry["StorageClass"]) == (1, head["ETag"], "STANDARD")
    assert entry["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert len(entry["Owner"]["ID"]) == 64


def test_a_token_that_is_none_is_refused(s3: Any, filled: str) -> None:
    with refused("InvalidArgument", 400, ArgumentName="continuation-token"):
        s3.list_objects_v2(Bucket=filled, ContinuationToken="no token!")
