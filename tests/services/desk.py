"""The operations behind a real database and real objects, called as the gateway calls them.

Every request is checked as the wire checks it, and so is every answer, by the same walker over the
output shape: a typed client (SDK v3) refuses what does not fit. Lifecycles are toys that note what
they are asked to do; tests move jobs and endpoints by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from sagedock.aws.findings import Complaint
from sagedock.aws.model import Call
from sagedock.aws.model import operation as operation_model
from sagedock.aws.validation import Structure, validate
from sagedock.domain.hosting import Endpoint
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.domain.states import IN_SERVICE
from sagedock.domain.training import TrainingJob
from sagedock.errors import ServiceError
from sagedock.services.cloudwatch import CloudWatchOperations
from sagedock.services.identity import IamOperations, Role, StsOperations
from sagedock.services.logs import LogOperations
from sagedock.services.operation import Context, Held, dispatch_table
from sagedock.services.sagemaker.endpoint_configs import EndpointConfigOperations
from sagedock.services.sagemaker.endpoints import EndpointOperations, HostingResources
from sagedock.services.sagemaker.models import ModelOperations
from sagedock.services.sagemaker.search import SearchOperations
from sagedock.services.sagemaker.tags import TagOperations
from sagedock.services.sagemaker.training import TrainingOperations
from sagedock.store.database import Database
from sagedock.store.log_events import LogEvents
from sagedock.store.metrics import Metrics
from sagedock.store.objects import Objects
from sagedock.store.resources import Resources, Tags
from sagedock.store.schema import MIGRATIONS

ACCOUNT, REGION = "123456789012", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole-x"
IMAGE = "520713654638.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-mxnet:1.2.1-cpu-py3"
BUCKET = "data"
DATA, MODEL_DATA = f"s3://{BUCKET}/in/", f"s3://{BUCKET}/model.tar.gz"
NOON = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)

_NOT_WHILE_IT_RUNS = "'modelArtifacts'"
"""The model requires it of DescribeTrainingJob; AWS has none to answer before the job is done."""


class ToyTraining:
    """Notes which jobs it was to start and stop."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.stopped: list[str] = []

    def start(self, job: TrainingJob) -> None:
        self.started.append(job.name)

    def stop(self, job: TrainingJob) -> None:
        self.stopped.append(job.name)


class ToyHosting:
    """Notes what it was asked, with the status that the endpoint had then."""

    def __init__(self) -> None:
        self.orders: list[tuple[Any, ...]] = []

    def create(self, endpoint: Endpoint) -> None:
        self.orders.append(("create", endpoint.name, endpoint.status))

    def update(self, endpoint: Endpoint) -> None:
        self.orders.append(("update", endpoint.status, endpoint.next_config_name))

    def set_weights(
        self, endpoint: Endpoint, wanted: Mapping[str, tuple[float | None, int | None]]
    ) -> None:
        self.orders.append(("set_weights", endpoint.status, dict(wanted)))

    def delete(self, endpoint: Endpoint) -> None:
        self.orders.append(("delete", endpoint.name, endpoint.status))


class News:
    """Notes whose change was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def notify(self, resource: str) -> None:
        self.told.append(resource)


class Desk:
    """All operations over one home; the clock goes on by a second with each look at it."""

    def __init__(self, home: Path) -> None:
        self.database = Database(home / "sagedock.db", MIGRATIONS)
        self.objects = Objects.at(home)
        self.objects.create_bucket(BUCKET)
        self.objects.put_bytes(BUCKET, "in/a.txt", b"a")
        self.objects.put_bytes(BUCKET, "model.tar.gz", b"m")
        self.jobs = Resources(self.database, TrainingJob)
        self.models = Resources(self.database, Model)
        self.configs = Resources(self.database, EndpointConfig)
        self.endpoints = Resources(self.database, Endpoint)
        self.events, self.metrics = LogEvents(self.database), Metrics(self.database)
        self.training, self.hosting, self.news = ToyTraining(), ToyHosting(), News()
        self.time = NOON
        tags = Tags(self.database)
        hosted = HostingResources(self.models, self.configs, self.endpoints)
        self.operations = dispatch_table(
            TrainingOperations(self.jobs, self.training, self.objects),
            ModelOperations(self.models, self.objects),
            EndpointConfigOperations(self.configs, self.models),
            EndpointOperations(hosted, self.hosting, self.news),
            TagOperations(tags),
            SearchOperations(self.jobs, self.endpoints, tags),
            LogOperations(self.events),
            StsOperations(),
            IamOperations(Resources(self.database, Role)),
            CloudWatchOperations(self.metrics),
        )

    def close(self) -> None:
        self.objects.close()
        self.database.close()

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    # --- asking -------------------------------------------------------------------------------

    def ask(self, service: str, operation: str, **request: Any) -> Any:
        """What the operation returns, Held or not. Members that are None are not sent."""
        request = {member: value for member, value in request.items() if value is not None}
        validate(Call(service, operation, "json"), request)
        context = Context(ACCOUNT, REGION, "request-1", self.now)
        result = self.operations[service, operation](request, context)
        _check_answer(service, operation, result.answer if isinstance(result, Held) else result)
        return result

    def sagemaker(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.answer("sagemaker", operation, **request)

    def answer(self, service: str, operation: str, **request: Any) -> dict[str, Any]:
        result = self.ask(service, operation, **request)
        found: dict[str, Any] = result.answer if isinstance(result, Held) else result
        return found

    def refusal(self, service: str, operation: str, **request: Any) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            self.ask(service, operation, **request)
        assert caught.value.status < 500 or caught.value.code == "NotImplemented"
        return caught.value

    # --- what tests often need ----------------------------------------------------------------

    def train(self, name: str, **more: Any) -> str:
        """Create a training job; its ARN."""
        answer = self.sagemaker("CreateTrainingJob", **training_request(name, **more))
        return str(answer["TrainingJobArn"])

    def job(self, name: str) -> dict[str, Any]:
        return self.sagemaker("DescribeTrainingJob", TrainingJobName=name)

    def move(self, name: str, *statuses: str) -> TrainingJob:
        """Take a job through these secondary statuses, as its thread would."""
        for status in statuses:
            self.jobs.save(self.jobs.get(name).moved_to(status, self.now()))
        return self.jobs.get(name)

    def finish(self, name: str) -> None:
        job = self.move(name, "Downloading", "Training", "Uploading")
        self.jobs.save(replace(job, model_artifacts=job.output_uri + "/model.tar.gz"))
        self.move(name, "Completed")

    def make_model(self, name: str, **container: Any) -> None:
        box = {"Image": IMAGE, "ModelDataUrl": MODEL_DATA, **container}
        self.sagemaker("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=box)

    def make_config(self, name: str, model: str, **more: Any) -> None:
        self.sagemaker(
            "CreateEndpointConfig",
            EndpointConfigName=name,
            ProductionVariants=[variant(model)],
            **more,
        )

    def deploy(self, name: str) -> Endpoint:
        """Model, configuration and endpoint of one name, in service."""
        self.make_model(name)
        self.make_config(name, name)
        self.sagemaker("CreateEndpoint", EndpointName=name, EndpointConfigName=name)
        return self.settle(name)

    def settle(self, name: str) -> Endpoint:
        """Bring an endpoint into service, as its thread would."""
        endpoint = self.endpoints.get(name).moved_to(IN_SERVICE, self.now())
        variants = tuple(replace(v, current_count=v.desired_count) for v in endpoint.variants)
        serves = endpoint.next_config_name or endpoint.config_name
        return self.endpoints.save(
            replace(endpoint, variants=variants, config_name=serves, next_config_name=None)
        )


def training_request(name: str, **more: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "InputDataConfig": [channel("training", DATA)],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": "ml.m5.large",
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        **more,
    }
    return {member: value for member, value in request.items() if value is not None}


def channel(name: str, uri: str, data_type: str = "S3Prefix") -> dict[str, Any]:
    source = {"S3DataType": data_type, "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def variant(model: str, name: str = "AllTraffic", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **more,
    }


def _check_answer(service: str, operation: str, answer: Mapping[str, Any]) -> None:
    shape = operation_model(service, operation).output
    if shape is None:
        assert answer == {}
        return
    unknown = set(answer) - set(shape.members)
    assert not unknown, f"{operation} answers {unknown}, which its shape does not have"
    found: list[Complaint] = []
    Structure(service, shape).check(answer, None, found)
    wrong = [complaint.text for complaint in found if _NOT_WHILE_IT_RUNS not in complaint.text]
    assert not wrong, f"{operation} answers what a typed client refuses: {wrong}"
