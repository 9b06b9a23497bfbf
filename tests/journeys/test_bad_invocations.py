"""Endpoints that cannot answer, and requests that they cannot answer."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from journeys.processes import kill, runs_below
from journeys.traveller import Traveller
from requests_as_sdks_send import archive, wait_for
from sagedock import Emulator
from sagedock.lifecycle import endpoint_keeper


@pytest.fixture(scope="module")
def living(traveller: Traveller) -> str:
    """An endpoint of two workers that is in service."""
    container = traveller.legacy(SAGEMAKER_MODEL_SERVER_WORKERS="2")
    assert traveller.deploy("living", container)["EndpointStatus"] == "InService"
    return "living"


def test_an_endpoint_that_is_creating_refuses_by_name(traveller: Traveller) -> None:
    traveller.create("creating", traveller.legacy(STORY_LOAD_SECONDS="2"))
    told = traveller.refusal("creating", [1])
    assert told["Error"]["Code"] == "ValidationError"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert "creating" in told["Error"]["Message"]
    assert traveller.settled("creating")["EndpointStatus"] == "InService"
    assert traveller.invoke("creating", [1]) == {"word": "kept", "got": [1]}
    traveller.delete("creating")


def test_a_model_fn_that_raises_fails_the_endpoint_with_its_traceback_in_the_log(
    traveller: Traveller,
) -> None:
    model = traveller.put("bad.tar.gz", archive({"model.json": '{"word": "", "fail": "model_fn"}'}))
    endpoint = traveller.deploy("failing", traveller.legacy(model))
    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    assert "the story is not found" in endpoint["FailureReason"], "the user's own error says why"
    log = "\n".join(traveller.endpoint_log("failing", "the story is not found"))
    assert 'legacy_story.py", line' in log
    told = traveller.refusal("failing", [1])
    assert told["Error"]["Code"] == "ValidationError"
    traveller.delete("failing")


def test_an_endpoint_that_is_gone_is_not_found(traveller: Traveller) -> None:
    traveller.deploy("gone", traveller.legacy())
    traveller.delete("gone")
    wait_for(
        lambda: traveller.refusal("gone", [1])["Error"],
        lambda error: error["Code"] == "ValidationError" and "not found" in error["Message"],
    )


def test_a_transform_fn_that_raises_is_a_model_error(traveller: Traveller, living: str) -> None:
    told = traveller.refusal(living, "break")
    assert told["Error"]["Code"] == "ModelError"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert told["OriginalStatusCode"] == 500
    log = "\n".join(traveller.endpoint_log(living, "cannot transform this"))
    assert 'legacy_story.py", line' in log


@pytest.mark.parametrize("body", [b"", b"[1, 2", b"\xff\xfe\xfd"])
def test_a_body_that_the_script_cannot_read_is_a_model_error(
    traveller: Traveller, living: str, body: bytes
) -> None:
    told = traveller.refusal(living, body)
    assert (told["Error"]["Code"], told["OriginalStatusCode"]) == ("ModelError", 500)


def test_a_payload_of_30_mb_is_refused_with_a_code(traveller: Traveller, living: str) -> None:
    told = traveller.refusal(living, b"[" + b"1," * 15_000_000 + b"1]")
    assert told["ResponseMetadata"]["HTTPStatusCode"] in (400, 413)
    assert told["Error"]["Code"] == "ValidationError"


def test_a_worker_killed_in_flight_costs_only_its_own_request(
    traveller: Traveller, living: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(traveller.invoke, living, {"sleep": 1})
        told = traveller.refusal(living, "die")
        assert told["Error"]["Code"] == "ModelError"
        assert 500 <= told["OriginalStatusCode"] < 600
        assert slow.result() == {"word": "kept", "got": {"sleep": 1}}
    for _ in range(4):
        assert traveller.invoke(living, 1) == {"word": "kept", "got": 1}
    assert traveller.settled(living)["EndpointStatus"] == "InService"


def test_a_model_server_that_is_killed_is_started_again(
    traveller: Traveller, emulator: Emulator
) -> None:
    traveller.deploy("killed", traveller.legacy())
    before = runs_below(emulator.home.endpoints / "killed")
    kill(before)

    def answers() -> object:
        try:
            return traveller.invoke("killed", 1)
        except Exception as error:
            return error

    wait_for(answers, lambda answer: bool(answer == {"word": "kept", "got": 1}))
    assert not before & runs_below(emulator.home.endpoints / "killed")
    assert traveller.settled("killed")["EndpointStatus"] == "InService"
    traveller.delete("killed")
    wait_for(lambda: runs_below(emulator.home.endpoints / "killed"), lambda pids: not pids)


@pytest.mark.slow
def test_whatever_is_killed_of_a_model_server_every_invocation_is_answered(
    traveller: Traveller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_keeper, "MAX_RESTARTS", 1000)
    traveller.deploy("hunted", traveller.legacy(SAGEMAKER_MODEL_SERVER_WORKERS="2"))
    told: Counter[str] = Counter()
    over, chance = threading.Event(), random.Random(7)

    def ask() -> None:
        own = Traveller(emulator.client_kwargs)
        while not over.is_set():
            told[outcome(own, "hunted", chance.choice([1, {"sleep": 0.05}]))] += 1

    with ThreadPoolExecutor(3) as askers:
        asking = [askers.submit(ask) for _ in range(3)]
        try:
            for _ in range(12):
                wait_for(lambda: told["ok"], lambda good, least=told["ok"] + 3: good >= least)
                time.sleep(chance.uniform(0, 0.2))
                pids = sorted(runs_below(emulator.home.endpoints / "hunted"))
                kill(chance.sample(pids, chance.randint(min(1, len(pids)), len(pids))))
        finally:
            over.set()
    assert [asked.exception() for asked in asking] == [None] * 3
    # Above all not 0: that is the end of an invocation's minute.
    modest = {"ModelError 500", "ModelError 502", "ModelError 503", "ServiceUnavailable"}
    assert set(told) <= {"ok", *modest}
    traveller.delete("hunted")


def outcome(traveller: Traveller, name: str, content: object) -> str:
    try:
        traveller.invoke(name, content)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response.get("OriginalStatusCode", "")
        return f"{code} {status}".strip()
    return "ok"
