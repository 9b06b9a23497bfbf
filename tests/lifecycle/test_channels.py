"""Which files a channel becomes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from lifecycle.house import ARN, BUCKET, House, now
from requests_as_sdks_send import LEGACY_IMAGE, channel
from sagedock.backends.base import Guard
from sagedock.domain.training import TrainingJob
from sagedock.lifecycle.channels import DataDownloadFailed, relative_path
from sagedock.lifecycle.input_data import InputData
from sagedock.lifecycle.workdir import Workdir


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("data/train/a.rec", "data/train/", "a.rec"),
        ("data/train/a.rec", "data/train", "a.rec"),
        ("data/train/x/y", "data/train", "x/y"),
        ("data/train.rec", "data/train.rec", "train.rec"),
        ("data/train-1.rec", "data/train", "train-1.rec"),
        ("a/b", "", "a/b"),
        ("data/train/", "data/train/", ""),
        ("data//double", "data/", "double"),
    ],
)
def test_a_key_keeps_what_follows_the_prefix(key: str, prefix: str, path: str) -> None:
    assert relative_path(key, prefix) == path


def input_data(house: House, folder: Path, guard: Guard, *channels: dict[str, Any]) -> InputData:
    request = {
        "AlgorithmSpecification": {"TrainingImage": LEGACY_IMAGE, "TrainingInputMode": "File"},
        "InputDataConfig": list(channels),
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    job = TrainingJob.requested("job", f"{ARN}training-job/job", request, now())
    return InputData(job, {"algo-1": Workdir(folder)}, house.objects, guard)


def staged(house: House, uri: str, folder: Path, data_type: str = "S3Prefix") -> dict[str, bytes]:
    """Relative path → content of the channel's files."""
    entry = channel(uri)
    entry["DataSource"]["S3DataSource"]["S3DataType"] = data_type
    data = input_data(house, folder, "nothing", entry)
    assert data.mounts() == {"algo-1": ()}
    data.stage()
    place = Workdir(folder).data / "training"
    files = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def test_a_large_object_is_shown_by_a_mount_of_its_own_and_copied_by_nobody(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagedock.lifecycle.input_data.LARGE", 5)
    house.put("in/large", b"12345")
    house.put("in/small", b"1234")
    data = input_data(house, tmp_path / "c", "mount", channel(f"s3://{BUCKET}/in/"))

    mounts = data.mounts()["algo-1"]
    data.stage()

    folder = Workdir(tmp_path / "c").data / "training"
    assert [mount.inside for mount in mounts] == ["/opt/ml/input/data/training/large"]
    assert mounts[0].read_only
    assert mounts[0].outside.read_bytes() == b"12345"
    assert mounts[0].outside.stat().st_nlink == 2
    assert (folder / "large").read_bytes() == b""
    assert (folder / "small").read_bytes() == b"1234"


def test_a_folder_marker_is_no_file(house: House, tmp_path: Path) -> None:
    house.put("in/", b"")
    house.put("in/a", b"a")
    assert staged(house, f"s3://{BUCKET}/in/", tmp_path / "c") == {"a": b"a"}


def test_an_address_may_be_spelt_as_https(house: House, tmp_path: Path) -> None:
    house.put("in/a", b"a")
    address = f"https://s3.us-east-1.amazonaws.com/{BUCKET}/in/"
    assert staged(house, address, tmp_path / "c") == {"a": b"a"}


@pytest.mark.parametrize("key", ["in/../../escaped", "in/./dot", "in/a\0b"])
def test_a_key_that_is_no_path_fails_and_is_named(house: House, tmp_path: Path, key: str) -> None:
    try:
        house.put(key)
    except Exception:  # the store refuses it, which is as good
        return
    with pytest.raises(DataDownloadFailed, match="is no path that a folder can hold"):
        staged(house, f"s3://{BUCKET}/in/", tmp_path / "c")
    assert not (tmp_path / "escaped").exists()


def test_two_keys_that_are_one_file_fail_and_say_so(house: House, tmp_path: Path) -> None:
    house.put("in/a//b")
    house.put("in/a/b")
    with pytest.raises(DataDownloadFailed, match="are the same file for a file system"):
        staged(house, f"s3://{BUCKET}/in/", tmp_path / "c")


def test_a_key_below_another_key_fails_instead_of_hiding_one(house: House, tmp_path: Path) -> None:
    house.put("in/a")
    house.put("in/a/b")
    with pytest.raises(DataDownloadFailed, match="'in/a/b' is below another key, which is a file"):
        staged(house, f"s3://{BUCKET}/in/", tmp_path / "c")


@pytest.mark.parametrize("key", ["in/" + "k" * 300, "in/" + "k" * 300 + "/a"])
def test_a_key_too_long_for_a_file_fails_and_is_named(
    house: House, tmp_path: Path, key: str
) -> None:
    house.put(key)
    with pytest.raises(DataDownloadFailed, match=r"k(/a)?' is too long"):
        staged(house, f"s3://{BUCKET}/in/", tmp_path / "c")


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"\xff", "the manifest is no JSON text in UTF-8"),
        (b"[" * 100_000, "the manifest is no JSON text in UTF-8"),
        (b'[{"prefix": "s3://data/"}, "\\ud800"]', "the manifest is no JSON text in UTF-8"),
        (b'[{"prefix": "data/"}, "a"]', 'prefix "data/" is no s3://bucket/'),
    ],
)
def test_what_is_no_manifest_fails_in_words_of_ours(
    house: House, tmp_path: Path, manifest: bytes, words: str
) -> None:
    house.put("manifest", manifest)
    with pytest.raises(DataDownloadFailed, match=words):
        staged(house, f"s3://{BUCKET}/manifest", tmp_path / "c", "ManifestFile")


def test_a_manifest_names_the_objects(house: House, tmp_path: Path) -> None:
    house.put("far/a", b"a")
    house.put("far/b/c", b"c")
    house.put("far/not-named", b"n")
    manifest = json.dumps([{"prefix": f"s3://{BUCKET}/far/"}, "a", "b/c"]).encode()
    uri = house.put("manifest", manifest)
    assert staged(house, uri, tmp_path / "c", "ManifestFile") == {"a": b"a", "b/c": b"c"}


@pytest.mark.parametrize(
    "manifest",
    [
        b"no json",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b'["a"]',
        b'[{"prefix": 5}, "a"]',
        b'[{"prefix": "s3://data/far/"}, 7]',
        b'[{"prefix": "s3://data/far/"}, "../../climb"]',
        b'[{"prefix": "s3://data/far/"}, "not-there"]',
        b'[{"prefix": "nowhere"}, "a"]',
    ],
)
def test_a_manifest_that_is_none_fails_as_the_users_mistake(
    house: House, tmp_path: Path, manifest: bytes
) -> None:
    uri = house.put("manifest", manifest)
    with pytest.raises(DataDownloadFailed, match=f"^ClientError: .*{uri}"):
        staged(house, uri, tmp_path / "c", "ManifestFile")


def test_the_objects_of_a_channel_cannot_be_changed_by_a_run(house: House, tmp_path: Path) -> None:
    house.put("in/a", b"a")
    staged(house, f"s3://{BUCKET}/in/", tmp_path / "c")
    target = tmp_path / "c" / "a"
    with contextlib.suppress(PermissionError):  # a hard link's mode protects the object
        target.write_bytes(b"changed")
    assert house.objects.read_bytes(BUCKET, "in/a") == b"a"
