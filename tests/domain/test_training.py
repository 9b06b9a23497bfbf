"""A training job's steps, times and what its request means."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from sagedock.domain.states import NEXT_TRAINING, PRIMARY_OF, InvalidTransition
from sagedock.domain.training import TrainingJob

START = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)


def _job(**request: Any) -> TrainingJob:
    sent = {
        "AlgorithmSpecification": {"TrainingImage": "a/b:1", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "OutputDataConfig": {"S3OutputPath": "s3://b/out/"},
        **request,
    }
    return TrainingJob.requested("j", "arn:training-job/j", sent, START)


def _at(second: float) -> datetime:
    return START + timedelta(seconds=second)


@pytest.mark.evidence("docs", "API_DescribeTrainingJob.html: SecondaryStatusTransitions")
def test_each_step_ends_where_the_next_one_starts() -> None:
    job = _job()
    steps = ("Downloading", "Training", "Uploading", "Completed")
    for second, status in enumerate(steps, 1):
        job = job.moved_to(status, _at(second))
    assert [(s.start, s.end) for s in job.transitions[:2]] == [(START, _at(1)), (_at(1), _at(2))]
    assert job.transitions[-1].end == _at(4)
    assert all(step.message for step in job.transitions)
    assert (job.training_started, job.training_ended) == (_at(2), _at(4))
    assert (job.status, job.has_ended, job.modified) == ("Completed", True, _at(4))


def test_training_time_is_whole_seconds_and_one_at_least() -> None:
    training = _job().moved_to("Downloading", START).moved_to("Training", _at(1))
    assert training.training_seconds is None
    assert training.failed("AlgorithmError", _at(1.2)).training_seconds == 1
    assert training.failed("AlgorithmError", _at(61.4)).training_seconds == 60


def test_a_job_that_never_trained_has_no_training_time() -> None:
    failed = _job().failed("ClientError: no image", _at(3))
    assert failed.training_seconds is None
    assert failed.failure_reason == "ClientError: no image"


@pytest.mark.evidence("docs", "botocore shape FailureReason: 1024 characters")
def test_a_failure_reason_is_cut_to_what_fits() -> None:
    assert len(_job().failed("x" * 5000, START).failure_reason or "") == 1024


@pytest.mark.parametrize("status", ["Completed", "Training", "Starting"])
def test_a_step_that_the_table_forbids_is_our_own_bug(status: str) -> None:
    with pytest.raises(InvalidTransition):
        _job().moved_to(status, START)


def test_every_secondary_status_has_a_primary_and_ends_lead_nowhere() -> None:
    assert set(PRIMARY_OF) == set(NEXT_TRAINING)
    for status, following in NEXT_TRAINING.items():
        assert following <= set(PRIMARY_OF)
        assert (not following) == (PRIMARY_OF[status] in ("Completed", "Failed", "Stopped"))


@pytest.mark.evidence("docs", "API_DescribeTrainingJob.html: MaxRuntimeExceeded is Stopped")
def test_running_out_of_time_is_a_kind_of_stopped() -> None:
    job = _job().moved_to("Downloading", START).moved_to("Training", START)
    job = job.moved_to("Stopping", START).moved_to("MaxRuntimeExceeded", START)
    assert (job.status, job.secondary_status) == ("Stopped", "MaxRuntimeExceeded")


def test_what_is_stored_comes_back_the_same() -> None:
    job = _job().moved_to("Downloading", _at(1.5)).moved_to("Training", _at(2.25))
    common = {
        field: getattr(job, field)
        for field in ("name", "arn", "created", "modified", "request", "version")
    }
    assert TrainingJob.restore(common, job.state()) == job


@pytest.mark.evidence("toolkit-source", "resourceconfig.json: hosts sorted as strings")
def test_hosts_are_numbered_from_one_and_sorted_as_texts() -> None:
    job = _job(ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 10})
    assert job.hosts[:3] == ("algo-1", "algo-10", "algo-2")


def test_the_request_is_read_with_its_defaults() -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}
    entry = {"ChannelName": "training", "DataSource": {"S3DataSource": source}}
    job = _job(InputDataConfig=[entry, {**entry, "ChannelName": "p", "InputMode": "Pipe"}])
    plain, piped = job.channels
    assert (plain.input_mode, plain.distribution) == ("File", "FullyReplicated")
    assert (piped.name, piped.input_mode) == ("p", "Pipe")
    assert job.max_runtime_seconds == 86_400
    assert job.output_uri == "s3://b/out/j/output"
