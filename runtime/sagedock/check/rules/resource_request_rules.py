"""Rules on the instances that a request asks for, and their disks."""

from __future__ import annotations

from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.request_rule import RequestRule, only_for
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.request import Request
from sagedock.check.target import Target, has_gpu
from sagedock.domain.instances import InstanceType

_training = only_for("CreateTrainingJob")


def instance_groups(request: Request, target: Target) -> Hits:
    for member in ("InstanceType", "InstanceCount"):
        if request.has("ResourceConfig", "InstanceGroups") and request.has(
            "ResourceConfig", member
        ):
            told = f"{member} stands beside InstanceGroups, each of which has its own"
            yield request.hit(("ResourceConfig", member), told, of_key=True)


def quota(request: Request, target: Target) -> Hits:
    instance = request.get("ResourceConfig", "InstanceType", default="")
    if has_gpu(instance):
        told = f"new accounts have none of these: look at the quota “{instance} for training job"
        told += " usage” in Service Quotas"
        yield request.hit(("ResourceConfig", "InstanceType"), told)


def variant_volume(request: Request, target: Target) -> Hits:
    for index, variant in enumerate(request.get("ProductionVariants", default=[])):
        instance = variant.get("InstanceType", "")
        if "VolumeSizeInGB" in variant and InstanceType.parse(instance).has_own_disk:
            told = f"{instance} has a disk of its own, and takes no VolumeSizeInGB"
            yield request.hit(("ProductionVariants", index, "VolumeSizeInGB"), told, of_key=True)


_JOB = examples.training()
_ONE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
_GROUP = {"InstanceGroupName": "all", "InstanceType": "ml.m5.large", "InstanceCount": 1}

RULES: tuple[RequestRule, ...] = (
    RequestRule(
        id="SD230",
        name="instance-quota",
        level="advice",
        sentence="What an account may have of an instance type cannot be known here.",
        cloud="ResourceLimitExceeded: the account-level service limit is 0 Instances.",
        fix="Ask for the quota before the job: it can take a day.",
        failing=_JOB.replace("1.9.0-cpu-py38", "1.9.0-gpu-py38").replace(
            "ml.m5.large", "ml.p3.2xlarge"
        ),
        passing=_JOB,
        sources=("aws/amazon-sagemaker-examples#1543", "aws/amazon-sagemaker-examples#307"),
        check=quota,
        skips=_training,
    ),
    RequestRule(
        id="SD231",
        name="instance-groups",
        level="error",
        sentence="A job has instances of one type, or InstanceGroups, and not both.",
        cloud="ValidationException: InstanceType or InstanceCount cannot be specified with "
        "InstanceGroups.",
        fix="Leave InstanceType and InstanceCount to the groups.",
        failing=examples.training(ResourceConfig={**_ONE, "InstanceGroups": [_GROUP]}),
        passing=examples.training(
            ResourceConfig={"InstanceGroups": [_GROUP], "VolumeSizeInGB": 10}
        ),
        sources=("aws/sagemaker-python-sdk#5555", "aws/sagemaker-python-sdk#5564"),
        check=instance_groups,
        skips=_training,
    ),
    RequestRule(
        id="SD246",
        name="variant-volume",
        level="error",
        sentence="An instance with a disk of its own gets no volume.",
        cloud="ValidationException: VolumeSize parameter is not allowed for the selected Instance "
        "type.",
        fix="Leave VolumeSizeInGB out: the instance's own disk is used.",
        failing=examples.endpoint_config(
            examples.variant(InstanceType="ml.g4dn.xlarge", VolumeSizeInGB=64)
        ),
        passing=examples.endpoint_config(examples.variant(VolumeSizeInGB=64)),
        sources=("sagemaker-python-sdk utils.py, volume_size_supported",
                 "aws/sagemaker-python-sdk#4828", "autogluon/autogluon-cloud#50"),
        check=variant_volume,
        skips=only_for("CreateEndpointConfig"),
    ),
)  # fmt: skip
