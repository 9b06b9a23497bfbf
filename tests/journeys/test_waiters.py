"""boto3's own waiters, with their own delays of 30 and 120 s, on jobs and endpoints of seconds."""

from __future__ import annotations

import time

import boto3

from journeys.traveller import Traveller


def test_the_job_waiter_does_not_sleep_its_two_minutes(traveller: Traveller) -> None:
    sagemaker = boto3.client("sagemaker", **traveller.client_kwargs)
    traveller.start("waited-for", seconds=1.5)
    began = time.monotonic()
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="waited-for")
    job = sagemaker.describe_training_job(TrainingJobName="waited-for")
    assert job["TrainingJobStatus"] == "Completed"
    assert time.monotonic() - began < 60, "it slept, which is 120 s at a time"


def test_the_endpoint_waiter_does_not_sleep_its_half_minute(traveller: Traveller) -> None:
    sagemaker = boto3.client("sagemaker", **traveller.client_kwargs)
    traveller.create("waited-for", traveller.legacy(STORY_LOAD_SECONDS="1"))
    began = time.monotonic()
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="waited-for")
    assert traveller.invoke("waited-for", 1)["word"] == "kept"
    assert time.monotonic() - began < 25, "it slept, which is 30 s at a time"
    traveller.delete("waited-for")


def test_who_does_not_wait_is_answered_at_once(traveller: Traveller) -> None:
    """Only polling clients are kept waiting: a plain Describe shows a job that goes on."""
    traveller.start("looked-at", seconds=3)
    seen = traveller.sagemaker.describe_training_job(TrainingJobName="looked-at")
    assert seen["TrainingJobStatus"] == "InProgress"
    assert traveller.ended("looked-at")["TrainingJobStatus"] == "Completed"
