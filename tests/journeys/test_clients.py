"""Clients as they are on users' machines, led by `sagedock run`: both SDKs, boto3, the AWS CLI.

The programs are those of examples/cifar10, which are the tutorial's code; the data is the first
pictures of its sample.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journeys.client_environments import client_environment
from journeys.traveller import SCRIPT, Traveller
from requests_as_sdks_send import LEGACY_IMAGE, ROLE, SCRIPTS, source_archive
from sagedock import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cifar10"
sys.path.insert(0, str(EXAMPLE))  # the example's files import one another, as when they are run

import recordio  # noqa: E402

pytestmark = [pytest.mark.sdk, pytest.mark.slow]
Led = Callable[..., str]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, frameworks: Path) -> Iterator[Emulator]:
    """The SDKs ask every 30 s: answers are held longer than by default, so that a job that takes
    seconds costs seconds."""
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, frameworks=frameworks, hold_seconds=25) as dock:
        yield dock


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel of 500 pictures, the fewest that the scripts' reader takes, and 500 to validate."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("train.rec", "test.rec"):
        pictures = list(recordio.read_pictures(EXAMPLE / "sample" / name))
        recordio.write_pictures(folder / name, pictures[:500])
    return folder


@pytest.fixture
def led(emulator: Emulator, tmp_path: Path) -> Led:
    """led("python", "x.py") under `sagedock run`, as its standard output; it has to exit with 0."""

    def call(*words: str) -> str:
        told = subprocess.run(
            [sys.executable, "-m", "sagedock", "run", "--", *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "HOME": str(tmp_path),
                "SAGEDOCK_HOME": str(emulator.settings.home),
                "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-3000:]
        assert "Traceback" not in told.stderr, told.stderr[-3000:]
        return told.stdout

    return call


@pytest.mark.mxnet
def test_the_tutorial_with_sdk_v1(led: Led, data: Path, emulator: Emulator) -> None:
    python = str(client_environment("sdk-v1") / "python")
    told = led(python, str(EXAMPLE / "fit_sdk_v1.py"), "--data", str(data), "--epochs", "1")
    assert "[Epoch 0] validation: accuracy=" in told
    assert "Completed - Training job completed" in told
    assert "Billable seconds:" in told
    assert told.count(" -> ") == 10
    sagemaker = Traveller(emulator.client_kwargs).sagemaker
    assert sagemaker.list_endpoints(NameContains="sagemaker-mxnet")["Endpoints"] == []


@pytest.mark.mxnet
def test_the_tutorial_with_sdk_v2(led: Led, data: Path) -> None:
    python = str(client_environment("sdk-v2") / "python")
    told = led(python, str(EXAMPLE / "fit_sdk_v2.py"), "--data", str(data), "--epochs", "1")
    assert "[Epoch 0] validation: accuracy=" in told
    assert "Billable seconds:" in told
    assert told.count(" → ") == 10


def test_sdk_v2_attaches_updates_and_tells_why_a_job_failed(led: Led) -> None:
    python = str(client_environment("sdk-v2") / "python")
    told = led(python, str(Path(__file__).parent / "programs" / "sdk_v2.py"), str(SCRIPTS / SCRIPT))
    last = json.loads(told.splitlines()[-1])
    assert last["attached"] is True
    assert last["answers"] == [{"word": "novel", "got": [1]}] * 2
    assert last["another_config"] is True
    assert last["error"] == "UnexpectedStatusException"
    assert "ExecuteUserScriptError" in last["reason"]
    assert last["tracebacks"] == []


def test_the_aws_cli_from_data_to_an_answer(led: Led, tmp_path: Path) -> None:
    """One flow, as somebody would type it."""
    aws = str(client_environment("aws-cli") / "aws")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("a")
    (tmp_path / "in" / "big.bin").write_bytes(os.urandom(9 * 1024 * 1024))
    (tmp_path / "code.tar.gz").write_bytes(source_archive("legacy_story.py"))
    (tmp_path / "body.json").write_text("[1, 2]")
    job = {
        "TrainingJobName": "typed",
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": LEGACY_IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://cli/out"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {
            "sagemaker_program": '"legacy_story.py"',
            "sagemaker_submit_directory": '"s3://cli/code.tar.gz"',
            "sagemaker_job_name": '"typed"',
            "sagemaker_region": '"us-east-1"',
            "sagemaker_container_log_level": "20",
            "lines": "2",
        },
    }
    container = {
        "Image": LEGACY_IMAGE,
        "ModelDataUrl": "s3://cli/out/typed/output/model.tar.gz",
        "Environment": {
            "SAGEMAKER_PROGRAM": "legacy_story.py",
            "SAGEMAKER_SUBMIT_DIRECTORY": "s3://cli/code.tar.gz",
        },
    }
    variant = "VariantName=v,ModelName=typed,InitialInstanceCount=1,InstanceType=ml.m5.large"
    configured = f"--endpoint-config-name typed --production-variants {variant}"
    named = "--endpoint-name typed"
    script = f"""set -e
    aws() {{ {aws} "$@"; }}
    aws s3 mb s3://cli
    aws s3 sync in s3://cli/in --no-progress
    aws s3 sync in s3://cli/in --no-progress
    aws s3 cp code.tar.gz s3://cli/code.tar.gz --no-progress
    aws s3 sync s3://cli/in back --no-progress
    diff -r in back
    aws sagemaker create-training-job --cli-input-json '{json.dumps(job)}'
    aws sagemaker wait training-job-completed-or-stopped --training-job-name typed
    aws logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs \
        --log-stream-name-prefix typed/ --query 'events[].message' --output text
    aws sagemaker create-model --model-name typed --execution-role-arn {ROLE} \
        --primary-container '{json.dumps(container)}'
    aws sagemaker create-endpoint-config {configured}
    aws sagemaker create-endpoint {named} --endpoint-config-name typed
    aws sagemaker wait endpoint-in-service {named}
    aws sagemaker-runtime invoke-endpoint {named} --content-type application/json \
        --body fileb://body.json answer.json --query InvokedProductionVariant
    aws sagemaker delete-endpoint {named}
    aws sagemaker wait endpoint-deleted {named}
    aws s3 rb s3://cli --force
    """
    told = led("sh", "-c", script)
    assert told.count("upload: in/a.txt") == 1, "a second sync has nothing to upload"
    assert "line 1 loss=0.50" in told
    assert json.loads((tmp_path / "answer.json").read_text()) == {"word": "hello", "got": [1, 2]}
    assert '\n"v"\n' in told


@pytest.mark.mxnet
def test_the_notebook_runs_cell_by_cell(led: Led, data: Path, tmp_path: Path) -> None:
    python = str(client_environment("sdk-v2") / "python")
    runner = str(Path(__file__).parent / "programs" / "notebook.py")
    told = led(python, runner, str(EXAMPLE / "cifar10.ipynb"), str(EXAMPLE), str(data))
    assert "Completed s3://" in told
    assert told.count(" → ") == 10
