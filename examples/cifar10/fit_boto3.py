"""CIFAR-10 with nothing but boto3: upload, train, deploy, ask, clean up.

    sagedock run -- python examples/cifar10/fit_boto3.py --data cifar10-data

These are the calls that SageMaker's SDK makes, in its order; nothing here knows of sagedock. The
training code is `legacy/train.py`, the image and the instance types are the 2018 tutorial's own.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "legacy" / "train.py"
REGISTRY = "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-mxnet"
TRAINING_IMAGE, TRAINING_INSTANCE = f"{REGISTRY}:1.2.1-gpu-py3", "ml.p3.2xlarge"
SERVING_IMAGE, SERVING_INSTANCE = f"{REGISTRY}:1.2.1-cpu-py3", "ml.m4.xlarge"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def make_bucket(sts: Any, s3: Any) -> str:
    """The account's default SageMaker bucket, made where it is missing."""
    account = sts.get_caller_identity()["Account"]
    bucket = f"sagemaker-{s3.meta.region_name}-{account}"
    s3.create_bucket(Bucket=bucket)
    return bucket


def upload_data(s3: Any, folder: Path, bucket: str, prefix: str) -> str:
    """Every file of a channel folder; returns the s3:// address of them all."""
    for path in sorted(folder.iterdir()):
        s3.upload_file(str(path), bucket, f"{prefix}/{path.name}")
    return f"s3://{bucket}/{prefix}"


def upload_code(s3: Any, program: Path, bucket: str, prefix: str) -> str:
    """The user's program as sourcedir.tar.gz, the form in which containers expect it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(program, arcname=program.name)
    packed.seek(0)
    key = f"{prefix}/source/sourcedir.tar.gz"
    s3.upload_fileobj(packed, bucket, key)
    return f"s3://{bucket}/{key}"


def start_training(
    sagemaker: Any, job: str, data: str, code: str, hyperparameters: Mapping[str, Any]
) -> None:
    """CreateTrainingJob as the SDK asks for it: every hyperparameter is a piece of JSON."""
    bucket = data.split("/")[2]
    settings = {
        **hyperparameters,
        "sagemaker_program": PROGRAM.name,
        "sagemaker_submit_directory": code,
        "sagemaker_job_name": job,
        "sagemaker_region": sagemaker.meta.region_name,
        "sagemaker_container_log_level": 20,
        "sagemaker_enable_cloudwatch_metrics": False,
    }
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated", "S3Uri": data}
    sagemaker.create_training_job(
        TrainingJobName=job,
        AlgorithmSpecification={"TrainingImage": TRAINING_IMAGE, "TrainingInputMode": "File"},
        RoleArn=role(sagemaker),
        HyperParameters={name: json.dumps(value) for name, value in settings.items()},
        InputDataConfig=[{"ChannelName": "training", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/"},
        ResourceConfig={
            "InstanceType": TRAINING_INSTANCE,
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 24 * 60 * 60},
    )


def role(sagemaker: Any) -> str:
    """A role of the right form; nothing looks at what it allows."""
    return f"arn:aws:iam::000000000000:role/SageMaker-{sagemaker.meta.region_name}"


class LogFollower:
    """New lines of a job's log each time it is asked."""

    def __init__(self, logs: Any, job: str) -> None:
        self._logs = logs
        self._prefix = f"{job}/"
        self._tokens: dict[str, str] = {}

    def new_lines(self) -> list[str]:
        lines: list[str] = []
        for stream in self._streams():
            while True:
                token = self._tokens.get(stream)
                answer = self._logs.get_log_events(
                    logGroupName=LOG_GROUP,
                    logStreamName=stream,
                    startFromHead=True,
                    **({"nextToken": token} if token else {}),
                )
                lines += [event["message"] for event in answer["events"]]
                self._tokens[stream] = answer["nextForwardToken"]
                if answer["nextForwardToken"] == token or not answer["events"]:
                    break
        return lines

    def _streams(self) -> list[str]:
        try:
            answer = self._logs.describe_log_streams(
                logGroupName=LOG_GROUP, logStreamNamePrefix=self._prefix
            )
        except self._logs.exceptions.ResourceNotFoundException:
            return []  # the group comes into being with the first line
        return [stream["logStreamName"] for stream in answer["logStreams"]]


def deploy(sagemaker: Any, name: str, model_data: str, code: str) -> None:
    """A model, an endpoint configuration and an endpoint, all of one name; does not wait."""
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role(sagemaker),
        PrimaryContainer={
            "Image": SERVING_IMAGE,
            "ModelDataUrl": model_data,
            "Environment": {
                "SAGEMAKER_PROGRAM": PROGRAM.name,
                "SAGEMAKER_SUBMIT_DIRECTORY": code,
                "SAGEMAKER_REGION": sagemaker.meta.region_name,
                "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
            },
        },
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": SERVING_INSTANCE,
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)


def delete(sagemaker: Any, name: str) -> None:
    """Everything that `deploy` made."""
    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)


def predict(runtime: Any, endpoint: str, picture: Path) -> dict[str, Any]:
    """One picture's label, class, confidence and probabilities."""
    pixels = np.asarray(Image.open(picture).convert("RGB")).transpose(2, 0, 1)
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint,
        ContentType="application/json",
        Accept="application/json",
        Body=json.dumps({"instances": [pixels.tolist()]}),
    )
    prediction: dict[str, Any] = json.loads(answer["Body"].read())["predictions"][0]
    return prediction


def main() -> int:
    """The whole journey, told line by line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder that data.py wrote")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="leave the endpoint in service")
    options = parser.parse_args()

    s3, logs = boto3.client("s3"), boto3.client("logs")
    sagemaker, runtime = boto3.client("sagemaker"), boto3.client("sagemaker-runtime")
    name = time.strftime("cifar10-%Y-%m-%d-%H-%M-%S")
    print(f"training job, model and endpoint: {name}")
    bucket = make_bucket(boto3.client("sts"), s3)
    data = upload_data(s3, options.data, bucket, "data/cifar10")
    code = upload_code(s3, PROGRAM, bucket, name)

    start_training(sagemaker, name, data, code, {"epochs": options.epochs})
    follower = LogFollower(logs, name)
    while True:
        job = sagemaker.describe_training_job(TrainingJobName=name)
        for line in follower.new_lines():
            print(line, flush=True)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            break
        time.sleep(1)
    if job["TrainingJobStatus"] != "Completed":
        print(f"{name}: {job.get('FailureReason', job['TrainingJobStatus'])}", file=sys.stderr)
        return 1

    deploy(sagemaker, name, job["ModelArtifacts"]["S3ModelArtifacts"], code)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 600}
    )
    for picture in sorted((HERE / "pictures").glob("*.png")):
        found = predict(runtime, name, picture)
        print(f"{picture.stem:>10} → {found['class']} ({found['confidence']:.0%})")
    if not options.keep:
        delete(sagemaker, name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
