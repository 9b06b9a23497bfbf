"""Training jobs: what a request is refused for, what Describe shows, who may change what."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from sagedock.errors import ServiceError
from sagedock.services.operation import Held
from services.desk import BUCKET, DATA, ROLE, Desk, channel, training_request


@pytest.mark.evidence("sdk-source", "every client reads TrainingJobArn and then describes the job")
def test_a_created_job_is_stored_started_and_described(desk: Desk) -> None:
    arn = desk.train("fit-1")
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:training-job/fit-1"
    assert desk.training.started == ["fit-1"]
    shown = desk.job("fit-1")
    assert (shown["TrainingJobStatus"], shown["SecondaryStatus"]) == ("InProgress", "Starting")
    assert shown["SecondaryStatusTransitions"][0]["StatusMessage"]


@pytest.mark.evidence("recorded", "control-plane reference, finding C: SDK v1 to v3")
def test_describe_echoes_what_was_sent_and_nothing_that_was_not(desk: Desk) -> None:
    sent = training_request(
        "echo",
        HyperParameters={"rate": "0.1", "word": '"abc"'},
        DebugHookConfig={"S3OutputPath": "s3://data/debug", "CollectionConfigurations": []},
        Environment={},
    )
    desk.sagemaker("CreateTrainingJob", **sent, Tags=[{"Key": "k", "Value": "v"}])
    shown = desk.job("echo")
    for member in set(sent) - {"OutputDataConfig"}:
        assert shown[member] == sent[member], member
    assert shown["DebugHookConfig"]["CollectionConfigurations"] == []
    assert not {"VpcConfig", "CheckpointConfig", "ModelArtifacts", "FailureReason"} & set(shown)


@pytest.mark.evidence("sdk-source", "sagemaker 2.x attach indexes OutputDataConfig['KmsKeyId']")
def test_a_kms_key_is_described_even_when_there_is_none(desk: Desk) -> None:
    desk.train("no-key")
    assert desk.job("no-key")["OutputDataConfig"] == {
        "S3OutputPath": f"s3://{BUCKET}/out",
        "KmsKeyId": "",
    }


@pytest.mark.evidence("docs", "API_DescribeTrainingJob.html")
def test_an_ended_job_shows_its_times_model_metrics_and_every_step(desk: Desk) -> None:
    desk.train("whole")
    metric = {"MetricName": "loss", "Value": 0.5, "Timestamp": 1714560000.5}
    desk.jobs.save(replace(desk.jobs.get("whole"), metrics=(metric,)))
    desk.finish("whole")
    shown = desk.job("whole")
    steps = [step["Status"] for step in shown["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all("EndTime" in step for step in shown["SecondaryStatusTransitions"])
    assert shown["ModelArtifacts"]["S3ModelArtifacts"] == "s3://data/out/whole/output/model.tar.gz"
    assert shown["TrainingTimeInSeconds"] == shown["BillableTimeInSeconds"] == 2
    assert shown["FinalMetricDataList"][0]["Timestamp"].timestamp() == 1714560000.5


def test_a_job_in_transition_is_held_and_an_ended_one_is_not(desk: Desk) -> None:
    arn = desk.train("held")
    held = desk.ask("sagemaker", "DescribeTrainingJob", TrainingJobName="held")
    assert isinstance(held, Held)
    assert (held.resource, held.version) == (arn, desk.jobs.get("held").version)
    desk.move("held", "Stopping")
    assert isinstance(desk.ask("sagemaker", "DescribeTrainingJob", TrainingJobName="held"), Held)
    desk.move("held", "Stopped")
    assert isinstance(desk.ask("sagemaker", "DescribeTrainingJob", TrainingJobName="held"), dict)


@pytest.mark.evidence("recorded", "CreateTrainingJob of SDK v1 1.72 and v2 2.257")
def test_a_job_that_an_sdk_made_is_known_to_be_polled(desk: Desk) -> None:
    debugger = {"S3OutputPath": "s3://data/out", "CollectionConfigurations": []}
    desk.ask("sagemaker", "CreateTrainingJob", **_named("by-sdk", DebugHookConfig=debugger))
    desk.ask("sagemaker", "CreateTrainingJob", **_named("by-hand"))

    by_sdk = desk.ask("sagemaker", "DescribeTrainingJob", TrainingJobName="by-sdk")
    by_hand = desk.ask("sagemaker", "DescribeTrainingJob", TrainingJobName="by-hand")
    assert (by_sdk.is_polled, by_hand.is_polled) == (True, False)


@pytest.mark.evidence("recorded", "users' reports, e.g. workbench issue 384")
def test_a_second_job_of_that_name_is_in_use_with_its_arn(desk: Desk) -> None:
    arn = desk.train("twice")
    refused = desk.refusal("sagemaker", "CreateTrainingJob", **training_request("twice"))
    assert (refused.code, refused.status) == ("ResourceInUse", 400)
    assert arn in refused.message


def test_of_eight_creates_at_once_one_wins(desk: Desk) -> None:
    def create(_: int) -> str:
        try:
            desk.ask("sagemaker", "CreateTrainingJob", **training_request("race"))
        except ServiceError as error:
            return error.code
        return "created"

    with ThreadPoolExecutor(8) as pool:
        told = sorted(pool.map(create, range(8)))
    assert told == ["ResourceInUse"] * 7 + ["created"]
    assert desk.training.started == ["race"]


def _named(name: str, **more: Any) -> dict[str, Any]:
    return training_request(name, **more)


ALGORITHM = training_request("x")["AlgorithmSpecification"]
RESOURCES = training_request("x")["ResourceConfig"]
MANIFEST = channel("training", "s3://data/no.manifest", "ManifestFile")
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing under the prefix": (
        {"InputDataConfig": [channel("training", "s3://data/none/")]},
        "ValidationException",
        'No S3 objects found under S3 URL "s3://data/none/" given in input data source. Please '
        "ensure that the bucket exists in the selected region (eu-west-1), that objects exist "
        f'under that S3 prefix, and that the role "{ROLE}" has "s3:ListBucket" permissions on '
        'bucket "data".',
    ),
    "no such bucket": (
        {"InputDataConfig": [channel("training", "s3://nowhere/x")]},
        "ValidationException",
        'No S3 objects found under S3 URL "s3://nowhere/x"',
    ),
    "no manifest": ({"InputDataConfig": [MANIFEST]}, "ValidationException", "no.manifest"),
    "two channels of one name": (
        {"InputDataConfig": [channel("training", DATA)] * 2},
        "ValidationException",
        "'training' 2 times",
    ),
    "a regex that does not compile": (
        {
            "AlgorithmSpecification": {
                **ALGORITHM,
                "MetricDefinitions": [{"Name": "m", "Regex": "(["}],
            }
        },
        "ValidationException",
        "'(['",
    ),
    "no image": (
        {"AlgorithmSpecification": {"TrainingInputMode": "File"}},
        "ValidationException",
        "TrainingImage",
    ),
    "no algorithm": (
        {"AlgorithmSpecification": None},
        "ValidationException",
        "Value null at 'algorithmSpecification'",
    ),
    "no resources": (
        {"ResourceConfig": None},
        "ValidationException",
        "Value null at 'resourceConfig'",
    ),
    "no instances": (
        {"ResourceConfig": {**RESOURCES, "InstanceCount": 0}},
        "ValidationException",
        "greater than or equal to 1",
    ),
    "29 days": (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 29 * 86_400}},
        "ValidationException",
        "28 days",
    ),
    "spot without a wait": (
        {"EnableManagedSpotTraining": True},
        "ValidationException",
        "Invalid MaxWaitTimeInSeconds",
    ),
    "a wait without spot": (
        {"StoppingCondition": {"MaxRuntimeInSeconds": 9, "MaxWaitTimeInSeconds": 9}},
        "ValidationException",
        "EnableManagedSpotTraining",
    ),
    "a tag key twice": (
        {"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]},
        "ValidationException",
        "'k' is given twice",
    ),
    "a reserved tag key": (
        {"Tags": [{"Key": "aws:k", "Value": "1"}]},
        "ValidationException",
        "reserved for AWS",
    ),
    "an algorithm by name": (
        {"AlgorithmSpecification": {"AlgorithmName": "a", "TrainingInputMode": "File"}},
        "NotImplemented",
        "AlgorithmName",
    ),
    "a pipe": (
        {"AlgorithmSpecification": {**ALGORITHM, "TrainingInputMode": "Pipe"}},
        "NotImplemented",
        "input mode Pipe",
    ),
    "an augmented manifest": (
        {"InputDataConfig": [channel("training", f"{DATA}a", "AugmentedManifestFile")]},
        "NotImplemented",
        "AugmentedManifestFile",
    ),
    "instance groups": (
        {
            "ResourceConfig": {
                "InstanceGroups": [
                    {
                        "InstanceGroupName": "g",
                        "InstanceType": "ml.m5.large",
                        "InstanceCount": 1,
                    }
                ],
                "VolumeSizeInGB": 5,
            }
        },
        "NotImplemented",
        "InstanceGroups",
    ),
}


@pytest.mark.parametrize(("more", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refused_request_says_why_and_leaves_no_job(
    desk: Desk, more: dict[str, Any], code: str, words: str
) -> None:
    refused = desk.refusal("sagemaker", "CreateTrainingJob", **_named("refused", **more))
    assert refused.code == code
    assert words in refused.message
    assert desk.jobs.find() == []
    assert desk.training.started == []


def test_a_job_may_have_no_channels_and_no_stopping_condition(desk: Desk) -> None:
    desk.train("bare", InputDataConfig=None, StoppingCondition=None)
    shown = desk.job("bare")
    assert "InputDataConfig" not in shown
    assert shown["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}


@pytest.mark.evidence("recorded", "aws-sdk issue 165: unknown job")
@pytest.mark.parametrize(
    "operation",
    ["DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob", "DeleteTrainingJob"],
)
def test_an_unknown_job_is_a_validation_exception(desk: Desk, operation: str) -> None:
    refused = desk.refusal("sagemaker", operation, TrainingJobName="nobody")
    assert refused.code == "ValidationException"
    assert refused.message == "Requested resource not found."


def test_stop_asks_the_lifecycle_also_a_second_time(desk: Desk) -> None:
    desk.train("stop")
    assert desk.sagemaker("StopTrainingJob", TrainingJobName="stop") == {}
    desk.move("stop", "Stopping")
    assert desk.sagemaker("StopTrainingJob", TrainingJobName="stop") == {}
    assert desk.training.stopped == ["stop", "stop"]


@pytest.mark.evidence("recorded", "users' reports, quoted by several schedulers")
def test_an_ended_job_cannot_be_stopped(desk: Desk) -> None:
    desk.train("done")
    desk.finish("done")
    refused = desk.refusal("sagemaker", "StopTrainingJob", TrainingJobName="done")
    assert refused.message == (
        "The request was rejected because the training job is in status Completed."
    )


@pytest.mark.evidence("docs", "API_UpdateTrainingJob.html")
def test_update_changes_what_it_may_and_describe_shows_it(desk: Desk) -> None:
    desk.train("tuned", ProfilerConfig={"S3OutputPath": "s3://data/p", "DisableProfiler": False})
    desk.sagemaker(
        "UpdateTrainingJob",
        TrainingJobName="tuned",
        ProfilerConfig={"DisableProfiler": True},
        ResourceConfig={"KeepAlivePeriodInSeconds": 600},
    )
    shown = desk.job("tuned")
    assert shown["ProfilerConfig"] == {"S3OutputPath": "s3://data/p", "DisableProfiler": True}
    assert shown["ResourceConfig"] == {**RESOURCES, "KeepAlivePeriodInSeconds": 600}


@pytest.mark.evidence("docs", "API_UpdateTrainingJob.html: RemoteDebugConfig")
def test_remote_debugging_is_changed_only_while_downloading_or_training(desk: Desk) -> None:
    desk.train("debug")
    ask = {"TrainingJobName": "debug", "RemoteDebugConfig": {"EnableRemoteDebug": True}}
    assert "it is Starting" in desk.refusal("sagemaker", "UpdateTrainingJob", **ask).message
    desk.move("debug", "Downloading", "Training")
    desk.sagemaker("UpdateTrainingJob", **ask)
    assert desk.job("debug")["RemoteDebugConfig"] == {"EnableRemoteDebug": True}


def test_an_ended_job_cannot_be_updated(desk: Desk) -> None:
    desk.train("late")
    desk.finish("late")
    keep = {"KeepAlivePeriodInSeconds": 600}
    refused = desk.refusal(
        "sagemaker", "UpdateTrainingJob", TrainingJobName="late", ResourceConfig=keep
    )
    assert "in status Completed" in refused.message


@pytest.mark.evidence("docs", "API_DeleteTrainingJob.html")
def test_only_an_ended_job_can_be_deleted_and_its_name_is_free_then(desk: Desk) -> None:
    desk.train("again")
    refused = desk.refusal("sagemaker", "DeleteTrainingJob", TrainingJobName="again")
    assert (refused.code, "InProgress" in refused.message) == ("ResourceInUse", True)
    desk.finish("again")
    desk.sagemaker("DeleteTrainingJob", TrainingJobName="again")
    assert desk.refusal("sagemaker", "DescribeTrainingJob", TrainingJobName="again")
    assert desk.train("again")


def test_a_failed_job_shows_its_reason(desk: Desk) -> None:
    desk.train("bad")
    desk.jobs.save(desk.jobs.get("bad").failed("AlgorithmError: no", desk.now()))
    shown = desk.job("bad")
    assert (shown["TrainingJobStatus"], shown["FailureReason"]) == ("Failed", "AlgorithmError: no")
    assert "TrainingTimeInSeconds" not in shown
