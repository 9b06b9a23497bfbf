"""boto3's own waiters, with their own delays of 30 and 120 s, on jobs and endpoints of seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from journeys.traveller import Traveller
from sagedock import Emulator


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, frameworks: Path) -> Iterator[Emulator]:
    """Answers are held longer than by default: nothing that is waited for here takes so long."""
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, frameworks=frameworks, backend="process", hold_seconds=50) as dock:
        yield dock


def asked(sagemaker: Any, operation: str) -> list[str]:
    """Has an entry for each time that the client asks, from now on."""
    times: list[str] = []
    event = f"before-send.sagemaker.{operation}"
    sagemaker.meta.events.register(event, lambda **_: times.append(operation))
    return times


def test_the_job_waiter_does_not_sleep_its_two_minutes(traveller: Traveller) -> None:
    sagemaker = boto3.client("sagemaker", **traveller.client_kwargs)
    traveller.start("waited-for", seconds=1.5)
    times = asked(sagemaker, "DescribeTrainingJob")
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName="waited-for")
    assert len(times) == 1, "between two times it sleeps, for 120 s"
    job = sagemaker.describe_training_job(TrainingJobName="waited-for")
    assert job["TrainingJobStatus"] == "Completed"


def test_the_endpoint_waiter_does_not_sleep_its_half_minute(traveller: Traveller) -> None:
    sagemaker = boto3.client("sagemaker", **traveller.client_kwargs)
    traveller.create("waited-for", traveller.legacy(STORY_LOAD_SECONDS="1"))
    times = asked(sagemaker, "DescribeEndpoint")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="waited-for")
    assert len(times) == 1, "between two times it sleeps, for 30 s"
    assert traveller.invoke("waited-for", 1)["word"] == "kept"
    traveller.delete("waited-for")


def test_who_does_not_wait_is_answered_at_once(traveller: Traveller) -> None:
    """Only polling clients are kept waiting: a plain Describe shows a job that goes on."""
    traveller.start("looked-at", seconds=3)
    seen = traveller.sagemaker.describe_training_job(TrainingJobName="looked-at")
    assert seen["TrainingJobStatus"] == "InProgress"
    assert traveller.ended("looked-at")["TrainingJobStatus"] == "Completed"
