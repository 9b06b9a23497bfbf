"""What a training job is refused for, beyond what the shapes of its request say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sagedock.errors import NotEmulated, ValidationException
from sagedock.services.operation import Request
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.rooms import ObjectLookup
from sagedock.services.sagemaker.s3_data import bucket_and_key, is_object, is_prefix

LONGEST_RUN_SECONDS = 28 * 24 * 3600
"""API_StoppingCondition.html: "The maximum value for all other jobs is 28 days"."""

_ELSEWHERE = {
    "ServerlessJobConfig": "Name a TrainingImage and a ResourceConfig instead.",
    "MlflowConfig": "Log to your own MLflow server from the script instead.",
    "ModelPackageConfig": "Read the model from ModelArtifacts of DescribeTrainingJob instead.",
}


def check_training_job(request: Request) -> None:
    """Everything that the request alone tells. Raises ValidationException or NotEmulated."""
    for member, way_out in _ELSEWHERE.items():
        if member in request:
            raise _not_emulated(member, way_out)
    _check_algorithm(request)
    _check_resources(request)
    _check_stopping(request)
    _check_channels(request)


def check_training_data(request: Request, objects: ObjectLookup, region: str) -> None:
    """Every channel has an object. Raises ValidationException in AWS's words.

    AWS checks prefixes and manifests when a job is created (users' reports of the message); what a
    manifest names is only found out when the job downloads it.
    """
    for channel in request.get("InputDataConfig", ()):
        source = channel["DataSource"]["S3DataSource"]
        uri = source["S3Uri"]
        found = is_prefix if source["S3DataType"] == "S3Prefix" else is_object
        if not found(objects, uri):
            bucket, _ = bucket_and_key(uri)
            raise refusals.no_objects(uri, region, request["RoleArn"], bucket)


def _check_algorithm(request: Request) -> None:
    algorithm = request.get("AlgorithmSpecification")
    if algorithm is None:
        raise refusals.null_member("algorithmSpecification")
    if "AlgorithmName" in algorithm:
        raise _not_emulated(
            "AlgorithmSpecification.AlgorithmName", "Name the image in TrainingImage instead."
        )
    if not algorithm.get("TrainingImage"):
        raise ValidationException(
            "AlgorithmSpecification has no TrainingImage: either AlgorithmName or TrainingImage "
            "must be given."
        )
    for metric in algorithm.get("MetricDefinitions", ()):
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            raise ValidationException(
                f"MetricDefinitions: the Regex '{metric['Regex']}' of metric '{metric['Name']}' "
                f"is not a valid regular expression: {error}."
            ) from error


def _check_resources(request: Request) -> None:
    resources = request.get("ResourceConfig")
    if resources is None:
        raise refusals.null_member("resourceConfig")
    if resources.get("InstanceGroups"):
        if "InstanceType" in resources or "InstanceCount" in resources:
            # As users quote it: aws/sagemaker-python-sdk#5555.
            raise ValidationException(
                "InstanceType or InstanceCount cannot be specified with InstanceGroups. Leave them "
                "to the groups."
            )
        raise _not_emulated(
            "ResourceConfig.InstanceGroups", "Use one InstanceType with an InstanceCount."
        )
    for member in ("InstanceType", "InstanceCount"):
        if member not in resources:
            raise refusals.null_member(f"resourceConfig.{member[0].lower()}{member[1:]}")
    if resources["InstanceCount"] < 1:
        raise ValidationException(
            f"1 validation error detected: Value '{resources['InstanceCount']}' at "
            "'resourceConfig.instanceCount' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1"
        )


def _check_stopping(request: Request) -> None:
    stopping: Mapping[str, Any] = request.get("StoppingCondition", {})
    longest = stopping.get("MaxRuntimeInSeconds", 0)
    if longest > LONGEST_RUN_SECONDS:
        raise ValidationException(
            f"StoppingCondition: MaxRuntimeInSeconds is {longest}; a training job can run "
            f"{LONGEST_RUN_SECONDS} seconds (28 days) at the most."
        )
    wait = stopping.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if wait is None or wait < longest:
            # As users quote it of real jobs.
            raise ValidationException(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
                "MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise ValidationException(
            f"StoppingCondition: MaxWaitTimeInSeconds is {wait}, but the job does not use managed "
            "spot training. Set EnableManagedSpotTraining, or leave MaxWaitTimeInSeconds out."
        )


def _check_channels(request: Request) -> None:
    channels = request.get("InputDataConfig", ())
    counts = Counter(channel["ChannelName"] for channel in channels)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ValidationException(
            f"InputDataConfig names the channel '{twice[0]}' {counts[twice[0]]} times. Each "
            "channel of a training job must have a name of its own."
        )
    default_mode = request["AlgorithmSpecification"].get("TrainingInputMode", "File")
    for channel in channels:
        where = f"InputDataConfig channel '{channel['ChannelName']}'"
        for other in ("FileSystemDataSource", "DatasetSource"):
            if other in channel["DataSource"]:
                raise _not_emulated(f"{other} ({where})", "Put the data into S3 instead.")
        if "S3DataSource" not in channel["DataSource"]:
            raise ValidationException(f"{where} has no DataSource.S3DataSource.")
        if channel["DataSource"]["S3DataSource"]["S3DataType"] == "Converse":
            raise _not_emulated(f"S3DataType Converse ({where})", "Use S3Prefix or ManifestFile.")
        mode = channel.get("InputMode", default_mode)
        if channel.get("CompressionType", "None") != "None" and mode != "Pipe":
            # As users quote it: aws/sagemaker-python-sdk#716.
            raise ValidationException(
                f"Invalid compression type for channel {channel['ChannelName']}: {mode} mode only "
                f"supports NONE, got {channel['CompressionType']} instead"
            )
        # FastFile shows the script the same folder as File; a pipe is something else.
        if mode == "Pipe":
            raise _not_emulated(f"input mode Pipe ({where})", "Use the input mode File.")
        if channel["DataSource"]["S3DataSource"]["S3DataType"] == "AugmentedManifestFile":
            raise _not_emulated(
                f"S3DataType AugmentedManifestFile ({where})", "Use S3Prefix or ManifestFile."
            )


def _not_emulated(what: str, way_out: str) -> NotEmulated:
    return NotEmulated("sagemaker", f"CreateTrainingJob with {what}", way_out)
