"""From data to answers in containers, as a user of boto3 goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from journeys.traveller import SCRIPT, SERVING_IMAGE, Traveller
from requests_as_sdks_send import wait_for
from sagedock import Emulator
from sagedock.backends.docker.engine import Engine

pytestmark = pytest.mark.docker

EXAMPLE = Path(__file__).parents[2] / "examples" / "byo-sklearn"
BASE = "python:3.11-slim-bookworm"
PLAIN = "sagedock/python"


def own(traveller: Traveller, name: str, image: str, **algorithm: Any) -> dict[str, Any]:
    """The description of a job of that image, once it has ended; no script of ours is in it."""
    request = traveller.request(name)
    request["AlgorithmSpecification"] = {
        "TrainingImage": image, "TrainingInputMode": "File", **algorithm,
    }  # fmt: skip
    del request["HyperParameters"]
    traveller.sagemaker.create_training_job(**request)
    return traveller.ended(name)


def test_a_legacy_script_is_trained_deployed_asked_and_deleted(
    traveller: Traveller, engine: Engine
) -> None:
    job = traveller.train("legacy", lines=3, word="tale")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    log = traveller.job_log("legacy")
    assert [line for line in log if line.startswith("line ")] == [
        "line 0 loss=1.00", "line 1 loss=0.50", "line 2 loss=0.33",
    ]  # fmt: skip
    container = traveller.legacy(job["ModelArtifacts"]["S3ModelArtifacts"])
    assert traveller.deploy("legacy", container)["EndpointStatus"] == "InService"
    assert traveller.invoke("legacy", [1, 2]) == {"word": "tale", "got": [1, 2]}
    traveller.delete("legacy")
    mine = {"label": "sagedock.endpoint=legacy"}
    wait_for(lambda: engine.client.api.containers(all=True, filters=mine), lambda x: not x)


def test_a_plain_script_needs_no_mxnet(traveller: Traveller) -> None:
    request = traveller.request("plain", SCRIPT, {"lines": 1, "word": "plain"})
    request["AlgorithmSpecification"]["TrainingImage"] = PLAIN
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended("plain")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")


def test_a_failing_script_gives_its_traceback_as_the_reason(traveller: Traveller) -> None:
    job = traveller.train("fails", fail="train")
    assert job["TrainingJobStatus"] == "Failed"
    assert "ValueError: the story ends badly" in job["FailureReason"]
    assert "exit code: 1" in job["FailureReason"]


def test_a_container_of_ones_own_is_trained_and_hosted(docked: Emulator) -> None:
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", "sagedock-test/byo-sklearn", str(EXAMPLE)],
        check=True,
        capture_output=True,
    )
    kwargs = docked.client_kwargs
    told = subprocess.run(
        [sys.executable, str(EXAMPLE / "client.py"), "sagedock-test/byo-sklearn:latest"],
        env={
            "AWS_ENDPOINT_URL": kwargs["endpoint_url"],
            "AWS_DEFAULT_REGION": kwargs["region_name"],
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "labels: ['0', '1']" in told.stdout


def test_an_image_that_is_not_there_fails_with_the_line_to_run(traveller: Traveller) -> None:
    job = own(traveller, "absent", "registry.example/algo:7")
    assert job["TrainingJobStatus"] == "Failed"
    assert "`docker pull registry.example/algo:7`" in job["FailureReason"]


def test_an_image_without_train_fails_and_says_what_the_kernel_would(traveller: Traveller) -> None:
    job = own(traveller, "no-train", BASE)
    assert job["TrainingJobStatus"] == "Failed"
    assert '"train": executable file not found in $PATH' in job["FailureReason"]


def test_a_job_may_name_the_program_itself(traveller: Traveller) -> None:
    program = "import pathlib; pathlib.Path('/opt/ml/model/m').write_text('x'); print('my own')"
    job = own(
        traveller, "own-program", BASE,
        ContainerEntrypoint=["python3"], ContainerArguments=["-c", program],
    )  # fmt: skip
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert traveller.job_log("own-program") == ["my own"]


def test_a_gpu_instance_without_a_gpu_warns_once(traveller: Traveller) -> None:
    request = traveller.request("gpu", user={"lines": 1})
    request["ResourceConfig"]["InstanceType"] = "ml.p3.2xlarge"
    algorithm = request["AlgorithmSpecification"]
    algorithm["TrainingImage"] = algorithm["TrainingImage"].replace("-cpu-", "-gpu-")
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended("gpu")
    warnings = [line for line in traveller.job_log("gpu") if "no GPU" in line]
    if job["TrainingJobStatus"] == "Failed" and "has GPU code for" in job["FailureReason"]:
        pytest.skip("this machine has a GPU")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert len(warnings) == 1
    assert "ml.p3.2xlarge has 1 GPU (V100)" in warnings[0]


def test_an_isolated_endpoint_answers(traveller: Traveller) -> None:
    container = traveller.self_contained(SERVING_IMAGE, "alone")
    endpoint = traveller.deploy("alone", container, isolated=True)
    assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
    assert traveller.invoke("alone", {"a": 1}) == {"word": "alone", "got": {"a": 1}}
    traveller.delete("alone")
