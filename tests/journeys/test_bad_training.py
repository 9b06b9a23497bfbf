"""Training jobs that cannot go well: each ends Failed, with the user's own words, and no model."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from journeys.traveller import LEGACY, SCRIPT, Traveller
from requests_as_sdks_send import SCRIPTS, archive, channel


def failed(traveller: Traveller, request: dict[str, Any]) -> str:
    """The FailureReason of a job that has to fail and to leave no model."""
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended(request["TrainingJobName"])
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    prefix = f"out/{job['TrainingJobName']}/output/model"
    assert "Contents" not in traveller.s3.list_objects_v2(Bucket="journey", Prefix=prefix)
    assert len(job["FailureReason"]) <= 1024
    return str(job["FailureReason"])


@pytest.mark.parametrize("script", [LEGACY, SCRIPT])
def test_an_entry_point_that_is_not_in_the_archive(traveller: Traveller, script: str) -> None:
    request = traveller.request(f"no-entry-{script[:6]}", script)
    request["HyperParameters"]["sagemaker_program"] = '"not_here.py"'
    reason = failed(traveller, request)
    assert reason.startswith("AlgorithmError: ")
    assert "not_here" in reason


def test_a_legacy_script_that_raises_in_train(traveller: Traveller) -> None:
    reason = failed(traveller, traveller.request("raises-train", user={"fail": "train"}))
    assert reason.startswith("AlgorithmError: uncaught exception during training:")
    assert "the story ends badly" in reason
    assert "exit code: " in reason
    log = "\n".join(traveller.job_log("raises-train"))
    assert "Traceback" in log
    assert 'legacy_story.py", line' in log
    assert "ValueError: the story ends badly" in log


def test_a_legacy_script_that_raises_in_save(traveller: Traveller) -> None:
    reason = failed(traveller, traveller.request("raises-save", user={"fail": "save"}))
    assert "the story is not saved" in reason


def test_a_script_of_its_own_that_raises(traveller: Traveller) -> None:
    request = traveller.request("raises-script", SCRIPT, user={"fail": "yes"})
    reason = failed(traveller, request)
    assert "ExecuteUserScriptError" in reason
    assert "ExitCode 1" in reason
    assert "ValueError: the story ends badly" in "\n".join(traveller.job_log("raises-script"))


def test_a_package_that_is_not_there(traveller: Traveller) -> None:
    reason = failed(traveller, traveller.request("missing", "missing_package.py"))
    assert "a_package_that_nobody_has" in reason
    log = "\n".join(traveller.job_log("missing"))
    assert "No module named 'a_package_that_nobody_has'" in log


def test_a_hyperparameter_that_is_no_json(traveller: Traveller) -> None:
    request = traveller.request("no-json")
    request["HyperParameters"]["rate"] = "not JSON"
    assert failed(traveller, request).startswith("AlgorithmError: uncaught exception")


def test_a_hyperparameter_that_the_script_refuses(traveller: Traveller) -> None:
    request = traveller.request("refused", SCRIPT)
    request["HyperParameters"]["lines"] = '"many"'
    reason = failed(traveller, request)
    assert "ExitCode 2" in reason
    assert "invalid int value: 'many'" in "\n".join(traveller.job_log("refused"))


def test_an_image_that_nobody_has(traveller: Traveller) -> None:
    request = traveller.request("no-image")
    request["AlgorithmSpecification"]["TrainingImage"] = "registry.example/nobody/nothing:1"
    reason = failed(traveller, request)
    assert reason.startswith("ClientError: ")
    assert "nobody/nothing:1" in reason


WHOLE = archive({LEGACY: (SCRIPTS / LEGACY).read_bytes(), "padding": os.urandom(50_000)})


CONTENTS = {
    "cut-short": WHOLE[: len(WHOLE) // 2],
    "no-gzip": b"this is no archive" * 100,
    "no-tar": gzip.compress(b"x" * 5000),
    "empty": b"",
    "absent": None,
}


@pytest.mark.parametrize("name", list(CONTENTS))
def test_source_code_that_cannot_be_unpacked(traveller: Traveller, name: str) -> None:
    uri, content = f"s3://journey/bad/{name}.tar.gz", CONTENTS[name]
    if content is not None:
        traveller.put(f"bad/{name}.tar.gz", content)
    request = traveller.request(f"source-{name}")
    request["HyperParameters"]["sagemaker_submit_directory"] = f'"{uri}"'
    assert uri in failed(traveller, request)


def test_source_code_that_climbs_out_writes_nothing_outside(
    traveller: Traveller, tmp_path: Any
) -> None:
    target = tmp_path / "escaped"
    members = {LEGACY: (SCRIPTS / LEGACY).read_bytes(), str(target): b"absolute"}
    for depth in range(1, 16):
        members["../" * depth + str(target)[1:] + str(depth)] = b"relative"
    raw = io.BytesIO(gzip.decompress(archive(members)))
    with tarfile.open(fileobj=raw, mode="a") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("link/escaped-through-a-link"))
    uri = traveller.put("bad/climbs.tar.gz", gzip.compress(raw.getvalue()))
    request = traveller.request("climbs")
    request["HyperParameters"]["sagemaker_submit_directory"] = f'"{uri}"'
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended("climbs")
    assert job["TrainingJobStatus"] == "Completed" or job["FailureReason"]
    assert list(tmp_path.iterdir()) == []


def refused(traveller: Traveller, request: dict[str, Any]) -> str:
    """The message of a request that must be refused and leave no job."""
    with pytest.raises(ClientError) as caught:
        traveller.sagemaker.create_training_job(**request)
    told = caught.value.response
    assert told["Error"]["Code"] == "ValidationException"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    listed = traveller.sagemaker.list_training_jobs(NameContains=request["TrainingJobName"])
    assert listed["TrainingJobSummaries"] == []
    return str(told["Error"]["Message"])


def test_a_channel_without_objects(traveller: Traveller) -> None:
    for uri in ("s3://journey/nothing/", "s3://no-such-bucket-anywhere/in/"):
        request = traveller.request("bad-channel", InputDataConfig=[channel(uri)])
        assert f'No S3 objects found under S3 URL "{uri}"' in refused(traveller, request)


def test_bad_hyperparameters(traveller: Traveller) -> None:
    request = traveller.request("bad-hyper", HyperParameters={"long": "v" * 2501})
    assert "length less than or equal to 2500" in refused(traveller, request)
    many = {f"k{number}": "1" for number in range(101)}
    refused(traveller, traveller.request("bad-hyper", HyperParameters=many))
