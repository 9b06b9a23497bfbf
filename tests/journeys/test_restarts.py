"""`sagedock serve` killed, ended and started again on the same home."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from journeys.served import Served
from journeys.traveller import Traveller
from requests_as_sdks_send import wait_for


@pytest.fixture
def served(tmp_path: Path, frameworks: Path) -> Iterator[Served]:
    served = Served(tmp_path / "home", frameworks)
    yield served
    served.end()


def trains(traveller: Traveller, name: str) -> None:
    """Start a job that ends when the test lets go, and wait until its script runs."""
    traveller.start(name, until="go", word=name)
    wait_for(lambda: traveller.job_log(name), lambda log: "channel training" in "".join(log))


def without_metadata(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@pytest.mark.slow
def test_after_kill_9_everything_is_as_it_was_and_what_ran_goes_on(served: Served) -> None:
    traveller = Traveller(served.start().client_kwargs).settle_in()
    finished = traveller.train("finished", lines=20)
    model = traveller.get(finished["ModelArtifacts"]["S3ModelArtifacts"])
    log = traveller.job_log("finished")
    traveller.deploy("endpoint", traveller.legacy(finished["ModelArtifacts"]["S3ModelArtifacts"]))
    servers = served.runs()
    trains(traveller, "running")
    traveller.start("just-asked-for")

    served.kill()
    again = Traveller(served.start().client_kwargs)

    described = again.sagemaker.describe_training_job(TrainingJobName="finished")
    assert without_metadata(described) == without_metadata(finished)
    assert again.get(finished["ModelArtifacts"]["S3ModelArtifacts"]) == model
    assert again.job_log("finished") == log
    assert again.settled("endpoint")["EndpointStatus"] == "InService"
    wait_for(lambda: answer(again), lambda told: bool(told == {"word": "hello", "got": 1}))
    assert servers <= served.runs(), "the model server lived on, and is used"
    served.let_go()
    ran = again.ended("running")
    assert ran["TrainingJobStatus"] == "Completed", ran.get("FailureReason")
    # Its run may have been asking the emulator that was killed for its code: it asks again.
    promised = again.ended("just-asked-for")
    assert promised["TrainingJobStatus"] == "Completed", promised.get("FailureReason")
    told = [line for line in again.job_log("running") if "channel training" in line]
    assert len(told) == 1, "no line is lost or doubled"
    again.delete("endpoint")
    wait_for(served.runs, lambda pids: not pids)


def answer(traveller: Traveller) -> Any:
    try:
        return traveller.invoke("endpoint", 1)
    except Exception as error:
        return error


@pytest.mark.slow
def test_a_server_that_died_with_the_emulator_is_started_again(served: Served) -> None:
    traveller = Traveller(served.start().client_kwargs).settle_in()
    traveller.deploy("endpoint", traveller.legacy())
    before = served.runs()
    served.kill()
    served.end()
    again = Traveller(served.start().client_kwargs)
    wait_for(lambda: answer(again), lambda told: bool(told == {"word": "kept", "got": 1}))
    assert not before & served.runs()
    assert again.settled("endpoint")["EndpointStatus"] == "InService"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_end_leaves_no_process_and_the_endpoint_comes_back(
    served: Served, number: signal.Signals
) -> None:
    traveller = Traveller(served.start().client_kwargs).settle_in()
    traveller.deploy("endpoint", traveller.legacy())
    trains(traveller, "running")
    assert served.tell(number) == 0
    assert served.runs() == set()
    assert "Traceback" not in served.text
    again = Traveller(served.start().client_kwargs)
    assert again.ended("running")["TrainingJobStatus"] == "Stopped"
    wait_for(lambda: answer(again), lambda told: bool(told == {"word": "kept", "got": 1}))


@pytest.mark.slow
def test_keep_jobs_leaves_what_runs_to_the_next_start(tmp_path: Path, frameworks: Path) -> None:
    served = Served(tmp_path / "home", frameworks, "--keep-jobs")
    try:
        traveller = Traveller(served.start().client_kwargs).settle_in()
        traveller.deploy("endpoint", traveller.legacy())
        trains(traveller, "running")
        before = served.runs()
        assert served.tell(signal.SIGTERM) == 0
        assert "Traceback" not in served.text
        assert served.runs() == before
        again = Traveller(served.start().client_kwargs)
        served.let_go()
        assert again.ended("running")["TrainingJobStatus"] == "Completed"
        assert again.invoke("endpoint", 1) == {"word": "kept", "got": 1}
    finally:
        served.end()


def test_a_second_signal_does_not_wait_for_the_jobs_grace(served: Served) -> None:
    traveller = Traveller(served.start().client_kwargs).settle_in()
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('deaf', flush=True); time.sleep(60)"
    )
    request = traveller.request("deaf", HyperParameters={})
    request["AlgorithmSpecification"] = {
        "TrainingImage": "sagedock/python",
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python", "-c", stubborn],
    }
    traveller.sagemaker.create_training_job(**request)
    wait_for(lambda: traveller.job_log("deaf"), lambda log: "deaf" in log)
    assert served.process is not None
    served.process.send_signal(signal.SIGINT)
    with pytest.raises(Exception, match="timed out"):
        served.process.wait(2)
    assert served.tell(signal.SIGINT) == 0
    assert served.runs() == set()
