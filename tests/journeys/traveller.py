"""A user with boto3: what most journeys do, in a few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from requests_as_sdks_send import (
    ROLE,
    SCRIPTS,
    archive,
    channel,
    ended_job,
    legacy_container,
    log_of,
    settled_endpoint,
    source_archive,
    training_request,
    wait_for,
)

SCRIPT_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-training:1.9.0-cpu-py38"
SERVING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
LEGACY, SCRIPT = "legacy_story.py", "script_story.py"
JOBS = "/aws/sagemaker/TrainingJobs"


class Traveller:
    """`client_kwargs` leads to an emulator; `bucket` holds data at in/ and the scripts at code/."""

    def __init__(self, client_kwargs: Mapping[str, Any], bucket: str = "journey") -> None:
        self.client_kwargs, self.bucket = dict(client_kwargs), bucket
        self.sagemaker = self.client("sagemaker")
        self.s3 = self.client("s3")
        self.runtime = self.client("sagemaker-runtime")
        self.logs = self.client("logs")

    def client(self, service: str) -> Any:
        """Without retries: a test wants to see the first answer."""
        quick = Config(retries={"max_attempts": 0}, read_timeout=70)
        return boto3.client(service, config=quick, **self.client_kwargs)

    def settle_in(self) -> Traveller:
        self.s3.create_bucket(Bucket=self.bucket)
        self.put("in/a.txt", b"a")
        for script in (LEGACY, SCRIPT, "missing_package.py"):
            self.put(f"code/{script}.tar.gz", source_archive(script))
        return self

    def put(self, key: str, content: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return f"s3://{self.bucket}/{key}"

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri[len("s3://") :].partition("/")
        content: bytes = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    # --- training -----------------------------------------------------------------------------

    def request(
        self, name: str, script: str = LEGACY, user: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """CreateTrainingJob of a script of ours, in the image of its generation."""
        request = training_request(name, self.bucket, script, user)
        request["InputDataConfig"] = [channel(f"s3://{self.bucket}/in/")]
        if script == SCRIPT:
            request["AlgorithmSpecification"]["TrainingImage"] = SCRIPT_IMAGE
        return {**request, **more}

    def start(self, name: str, script: str = LEGACY, **user: Any) -> None:
        self.sagemaker.create_training_job(**self.request(name, script, user))

    def train(self, name: str, script: str = LEGACY, **user: Any) -> dict[str, Any]:
        """The description of the job once it has ended."""
        self.start(name, script, **user)
        return self.ended(name)

    def ended(self, name: str) -> dict[str, Any]:
        job: dict[str, Any] = ended_job(self.sagemaker, name)
        return job

    def job_log(self, name: str) -> list[str]:
        try:
            return log_of(self.logs, JOBS, f"{name}/")
        except self.logs.exceptions.ResourceNotFoundException:
            return []  # no job has printed anything yet

    # --- hosting ------------------------------------------------------------------------------

    def create(
        self, name: str, container: Mapping[str, Any], isolated: bool = False, **variant: Any
    ) -> None:
        """Model, configuration and endpoint of one name; not waited for."""
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer=container,
            EnableNetworkIsolation=isolated,
        )
        production = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m4.xlarge",
            "InitialInstanceCount": 1,
            **variant,
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[production]
        )
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def deploy(self, name: str, container: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The endpoint's description once it is neither Creating nor Updating."""
        self.create(name, container, **more)
        return self.settled(name)

    def settled(self, name: str) -> dict[str, Any]:
        endpoint: dict[str, Any] = settled_endpoint(self.sagemaker, name)
        return endpoint

    def legacy(self, model_data: str | None = None, **env: str) -> dict[str, Any]:
        """A container of legacy_story.py; with a small model of its own unless one is named."""
        if model_data is None:
            model = json.dumps({"word": "kept"})
            model_data = self.put("model.tar.gz", archive({"model.json": model}))
        return legacy_container(model_data, self.bucket, LEGACY, **env)

    def self_contained(self, image: str, word: str) -> dict[str, Any]:
        """A container of script_story.py whose code lies in its model: it asks nobody for it."""
        code = (SCRIPTS / SCRIPT).read_bytes()
        model = {"model.json": json.dumps({"word": word}), f"code/{SCRIPT}": code}
        return {
            "Image": image,
            "ModelDataUrl": self.put(f"{word}.tar.gz", archive(model)),
            "Environment": {
                "SAGEMAKER_PROGRAM": SCRIPT,
                "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                "SAGEMAKER_REGION": "us-east-1",
            },
        }

    def invoke(self, name: str, content: Any, **more: Any) -> Any:
        """What the endpoint answers to JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, Body=body, ContentType="application/json", **more
        )
        return json.loads(answer["Body"].read())

    def refusal(self, name: str, content: Any, **more: Any) -> dict[str, Any]:
        """The error answer to an invocation that fails."""
        try:
            answer = self.invoke(name, content, **more)
        except ClientError as error:
            response: dict[str, Any] = error.response
            return response
        raise AssertionError(f"the endpoint answered {answer!r}")

    def endpoint_log(self, name: str, words: str) -> list[str]:
        """The endpoint's log, once a line has `words` in it."""
        group = f"/aws/sagemaker/Endpoints/{name}"
        return list(wait_for(lambda: log_of(self.logs, group), lambda log: words in "\n".join(log)))

    def delete(self, name: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.sagemaker.delete_endpoint_config(EndpointConfigName=name)
        self.sagemaker.delete_model(ModelName=name)
