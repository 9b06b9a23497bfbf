"""Answers that are held for clients that poll, until what they ask about has moved on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from requests_as_sdks_send import PATIENCE
from sagedock.lifecycle.changes import Callback, Changes
from sagedock.server.gateway import polls
from server.world import World

SDK = {"user_agent_extra": "AWS-SageMaker-Python-SDK/2.257.7"}


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[World]:
    """A world in which an answer is held for longer than any test waits."""
    with World(tmp_path, hold_seconds=600) as world:
        yield world


def describe(world: World, **config: Any) -> str:
    client = world.client("sagemaker", **config)
    status: str = client.describe_training_job(TrainingJobName="job")["TrainingJobStatus"]
    return status


class Asking:
    """A Describe by an SDK, in a thread; `status` once it was answered."""

    def __init__(self, world: World) -> None:
        self.status = ""
        self.thread = threading.Thread(target=self._ask, args=(world,), daemon=True)
        self.thread.start()
        assert world.jobs.asked.acquire(timeout=PATIENCE)  # when it came
        assert world.jobs.asked.acquire(timeout=PATIENCE)  # again, once it listens for news

    def _ask(self, world: World) -> None:
        self.status = describe(world, **SDK)


def test_a_person_who_asks_is_answered_at_once(patient: World) -> None:
    assert describe(patient) == "InProgress"


def test_an_sdk_is_answered_when_the_job_has_left_its_transition(patient: World) -> None:
    asking = Asking(patient)

    patient.jobs.move("Completed")

    asking.thread.join(PATIENCE)
    assert asking.status == "Completed"


def test_a_change_that_ends_nothing_is_not_answered(patient: World) -> None:
    asking = Asking(patient)

    patient.jobs.move("InProgress")
    assert patient.jobs.asked.acquire(timeout=PATIENCE)
    assert asking.status == ""

    patient.jobs.move("Stopped")
    asking.thread.join(PATIENCE)
    assert asking.status == "Stopped"


def test_a_waiter_of_boto3_is_held_too(patient: World) -> None:
    waiter = patient.client("sagemaker").get_waiter("training_job_completed_or_stopped")
    waiting = threading.Thread(target=waiter.wait, kwargs={"TrainingJobName": "job"}, daemon=True)
    waiting.start()
    for _ in range(2):
        assert patient.jobs.asked.acquire(timeout=PATIENCE)

    patient.jobs.move("Completed")

    waiting.join(PATIENCE)  # a waiter that was told InProgress would sleep for 120 s
    assert not waiting.is_alive()


def test_a_held_answer_is_given_when_its_time_is_over(tmp_path: Path) -> None:
    with World(tmp_path, hold_seconds=0.1) as world:
        assert describe(world, **SDK) == "InProgress"


def test_stopping_answers_what_is_held(tmp_path: Path) -> None:
    with World(tmp_path, hold_seconds=600) as world:
        asking = Asking(world)

    asking.thread.join(PATIENCE)
    assert asking.status == "InProgress"


def test_nobody_listens_for_a_client_that_left(patient: World) -> None:
    listening = threading.Event()
    left = threading.Event()

    class Watched(Changes):
        def subscribe(self, resource: str, callback: Callback) -> Callback:
            leave = super().subscribe(resource, callback)
            listening.set()
            return lambda: (leave(), left.set())[0]

    patient.gateway._changes = Watched()
    body = b'{"TrainingJobName": "job"}'
    head = (
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-amz-json-1.1\r\n"
        f"X-Amz-Target: SageMaker.DescribeTrainingJob\r\nContent-Length: {len(body)}\r\n"
        "User-Agent: AWS-SageMaker-Python-SDK/2\r\n\r\n"
    )
    with socket.create_connection(patient.address, PATIENCE) as client:
        client.sendall(head.encode() + body)
        assert listening.wait(PATIENCE)

    assert left.wait(PATIENCE)


def test_more_answers_are_held_than_there_are_threads(patient: World) -> None:
    asking = [Asking(patient) for _ in range(20)]

    assert describe(patient) == "InProgress"

    patient.jobs.move("Completed")
    for each in asking:
        each.thread.join(PATIENCE)
    assert {each.status for each in asking} == {"Completed"}


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux m/N,B,Z cfg/retry-mode#legacy", True),
        ("Boto3/1.44.5 ua/2.1 m/B", True),
        ("Boto3/1.44.5 ua/2.1 os/linux m/N,Z,b cfg/retry-mode#legacy", False),
        ("Boto3/1.44.5 ua/2.1 m/AB,Z", False),
        ("AWS-SageMaker-Python-SDK/1.72.1 Python/3.8", True),
        ("curl/8", False),
    ],
)
def test_clients_that_poll_are_known_by_their_user_agent(agent: str, expected: bool) -> None:
    assert polls(agent) is expected


def test_news_reaches_subscribers_of_that_resource_until_they_leave() -> None:
    changes, heard = Changes(), []
    leave = changes.subscribe("a", lambda: heard.append("first"))
    changes.subscribe("a", lambda: heard.append("second"))

    changes.notify("b")
    changes.notify("a")
    leave()
    leave()
    changes.notify("a")

    assert heard == ["first", "second", "second"]
