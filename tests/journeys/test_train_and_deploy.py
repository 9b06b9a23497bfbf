"""From data to answers, as a user of boto3 goes."""

from __future__ import annotations

import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from journeys.traveller import LEGACY, SCRIPT, SERVING_IMAGE, Traveller
from requests_as_sdks_send import SCRIPTS, archive, wait_for


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def test_a_legacy_script_is_trained_deployed_asked_and_deleted(traveller: Traveller) -> None:
    job = traveller.train("legacy", lines=3, word="tale")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    artifacts = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == "s3://journey/out/legacy/output/model.tar.gz"
    assert json.loads(members(traveller.get(artifacts))["model.json"])["word"] == "tale"
    log = traveller.job_log("legacy")
    assert [line for line in log if line.startswith("line ")] == [
        "line 0 loss=1.00", "line 1 loss=0.50", "line 2 loss=0.33",
    ]  # fmt: skip
    assert any("channel training: ['a.txt']" in line for line in log)
    assert traveller.deploy("legacy", traveller.legacy(artifacts))["EndpointStatus"] == "InService"
    assert traveller.invoke("legacy", [1, 2]) == {"word": "tale", "got": [1, 2]}
    traveller.delete("legacy")
    with pytest.raises(ClientError, match="Could not find endpoint"):
        wait_for(lambda: traveller.settled("legacy"), lambda _: False)


def test_a_script_of_its_own_is_trained_and_deployed(traveller: Traveller) -> None:
    job = traveller.train("script", SCRIPT, lines=2, word="novel")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    model = members(traveller.get(job["ModelArtifacts"]["S3ModelArtifacts"]))
    code = {"code/script_story.py": (SCRIPTS / SCRIPT).read_bytes()}
    packed = traveller.put("packed.tar.gz", archive({**model, **code}))
    environment = {
        "SAGEMAKER_PROGRAM": SCRIPT,
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_REGION": "us-east-1",
    }
    container = {"Image": SERVING_IMAGE, "ModelDataUrl": packed, "Environment": environment}
    assert traveller.deploy("script", container)["EndpointStatus"] == "InService"
    assert traveller.invoke("script", {"a": 1}) == {"word": "novel", "got": {"a": 1}}
    traveller.delete("script")


def test_output_data_comes_beside_the_model(traveller: Traveller) -> None:
    traveller.train("output")
    output = traveller.get("s3://journey/out/output/output/output.tar.gz")
    assert members(output) == {"report.txt": b"done\n"}


def test_jobs_at_the_same_time_do_not_get_in_each_others_way(traveller: Traveller) -> None:
    names = [f"together-{number}" for number in range(4)]
    for number, name in enumerate(names):
        traveller.start(name, LEGACY if number % 2 else SCRIPT, word=name, lines=50)
    for name in names:
        job = traveller.ended(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        model = members(traveller.get(job["ModelArtifacts"]["S3ModelArtifacts"]))
        assert json.loads(model["model.json"])["word"] == name
        assert len([line for line in traveller.job_log(name) if line.startswith("line ")]) == 50


def test_of_eight_jobs_of_one_name_at_once_one_is_created(traveller: Traveller) -> None:
    def create(_: int) -> str:
        try:
            traveller.sagemaker.create_training_job(**traveller.request("the-one"))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(create, range(8)))
    assert told == ["ResourceInUse"] * 7 + ["created"]
    assert traveller.ended("the-one")["TrainingJobStatus"] == "Completed"


def test_a_job_can_be_stopped_while_it_trains(traveller: Traveller) -> None:
    traveller.start("stopped", SCRIPT, seconds=60)
    wait_for(lambda: traveller.job_log("stopped"), lambda log: "channel" in "".join(log))
    traveller.sagemaker.stop_training_job(TrainingJobName="stopped")
    job = traveller.ended("stopped")
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["TrainingEndTime"] >= job["TrainingStartTime"]


def test_an_update_takes_an_endpoint_to_another_model(traveller: Traveller) -> None:
    traveller.deploy("updated", traveller.legacy())
    assert traveller.invoke("updated", 1)["word"] == "kept"
    model = traveller.put("new.tar.gz", archive({"model.json": '{"word": "new"}'}))
    container = traveller.legacy(model)
    role = "arn:aws:iam::000000000000:role/r"
    traveller.sagemaker.create_model(
        ModelName="newer", ExecutionRoleArn=role, PrimaryContainer=container
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "newer",
        "InstanceType": "ml.m4.xlarge",
        "InitialInstanceCount": 1,
    }
    traveller.sagemaker.create_endpoint_config(
        EndpointConfigName="newer", ProductionVariants=[variant]
    )
    traveller.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="newer")
    while traveller.settled("updated")["EndpointConfigName"] != "newer":
        assert traveller.invoke("updated", 1)["word"] in ("kept", "new")
    assert traveller.invoke("updated", 1)["word"] == "new"
    traveller.delete("updated")
