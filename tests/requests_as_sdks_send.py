"""Requests and archives as the SageMaker SDKs make them (reference: recorded from SDK v1 and v2).

Only what a test means is passed; the rest is what `estimator.fit` and `deploy` would send.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-sagedock"
LEGACY_IMAGE = "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-mxnet:1.2.1-cpu-py3"
ENDED = ("Completed", "Failed", "Stopped")
PATIENCE = 180.0
"""Seconds. What goes well never waits so long; what goes wrong on a busy machine of two processors
is no failure before."""


def archive(members: Mapping[str, bytes | str]) -> bytes:
    """A gzip tar of name → content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def source_archive(script: str) -> bytes:
    """sourcedir.tar.gz of one of tests/scripts."""
    return archive({script: (SCRIPTS / script).read_bytes()})


def training_request(
    name: str, bucket: str, script: str, user: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """CreateTrainingJob of `script`, whose archive lies at s3://<bucket>/code/<script>.tar.gz;
    hyperparameters are JSON texts, the user's and the SDK's own."""
    own = {
        "sagemaker_program": script,
        "sagemaker_submit_directory": f"s3://{bucket}/code/{script}.tar.gz",
        "sagemaker_job_name": name,
        "sagemaker_region": "us-east-1",
        "sagemaker_container_log_level": 20,
        "sagemaker_enable_cloudwatch_metrics": False,
    }
    hyperparameters = {key: json.dumps(value) for key, value in {**(user or {}), **own}.items()}
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "HyperParameters": hyperparameters,
        "AlgorithmSpecification": {"TrainingImage": LEGACY_IMAGE, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }


def channel(uri: str, name: str = "training") -> dict[str, Any]:
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": uri,
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def legacy_container(model_data: str, bucket: str, script: str, **env: str) -> dict[str, Any]:
    """PrimaryContainer as SDK v1 sends it."""
    return {
        "Image": LEGACY_IMAGE,
        "ModelDataUrl": model_data,
        "Environment": {
            "SAGEMAKER_PROGRAM": script,
            "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{bucket}/code/{script}.tar.gz",
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            "SAGEMAKER_REGION": "us-east-1",
            **env,
        },
    }


def wait_for(ask: Callable[[], Any], done: Callable[[Any], bool], seconds: float = PATIENCE) -> Any:
    """Ask until `done`; fails the test after `seconds` with the last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = ask()
        if done(answer):
            return answer
        assert time.monotonic() < end, f"still {answer!r} after {seconds} s"
        time.sleep(0.05)


def ended_job(sagemaker: Any, name: str, seconds: float = PATIENCE) -> Any:
    return wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: job["TrainingJobStatus"] in ENDED,
        seconds,
    )


def settled_endpoint(sagemaker: Any, name: str, seconds: float = PATIENCE) -> Any:
    return wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName=name),
        lambda endpoint: endpoint["EndpointStatus"] in ("InService", "Failed"),
        seconds,
    )


def log_of(logs: Any, group: str, prefix: str = "") -> list[str]:
    """Every line of the streams that begin with `prefix`."""
    more = {"logStreamNamePrefix": prefix} if prefix else {}
    streams = logs.describe_log_streams(logGroupName=group, **more)["logStreams"]
    lines: list[str] = []
    for stream in streams:
        where = {"logGroupName": group, "logStreamName": stream["logStreamName"]}
        page = logs.get_log_events(startFromHead=True, **where)
        while page["events"]:
            lines += [event["message"] for event in page["events"]]
            page = logs.get_log_events(nextToken=page["nextForwardToken"], **where)
    return lines
