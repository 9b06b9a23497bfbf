"""`sagedock serve --backend docker` killed, ended and started again on the same home."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.served import Served, free_port
from journeys.traveller import Traveller
from requests_as_sdks_send import wait_for
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.labels import HOME

pytestmark = [pytest.mark.docker, pytest.mark.slow]


class Dock:
    """The emulator, and what it has on the engine: containers and networks, by its home's label."""

    def __init__(self, served: Served, engine: Engine) -> None:
        self.served, self._engine = served, engine
        self._label = ""

    def start(self) -> Traveller:
        return Traveller(self.served.start().client_kwargs)

    def containers(self) -> dict[str, str]:
        """Id and name of those whose workdir is below our home. Other tests have theirs on the
        engine."""
        boxes = self._engine.client.api.containers(all=True, filters={"label": "sagedock.workdir"})
        below = f"{self.served.home}/"
        ours = [box for box in boxes if box["Labels"]["sagedock.workdir"].startswith(below)]
        for box in ours:
            self._label = box["Labels"][HOME]
        return {str(box["Id"]): str(box["Names"]) for box in ours}

    def networks(self) -> set[str]:
        """Names of those of the home whose containers were seen."""
        assert self._label, "look at the containers first"
        mine = {"label": f"{HOME}={self._label}"}
        return {network["Name"] for network in self._engine.client.api.networks(filters=mine)}


@pytest.fixture
def dock(tmp_path: Path, engine: Engine) -> Iterator[Dock]:
    # One port for all its lives, as users have it: runs know the emulator by it.
    served = Served(tmp_path / "home", tmp_path, "--backend", "docker", "--port", str(free_port()))
    dock = Dock(served, engine)
    yield dock
    served.end()
    for container in dock.containers():
        engine.client.api.remove_container(container, force=True)


def trains(traveller: Traveller, name: str) -> None:
    """Start a job that ends when the test lets go, and wait until its script runs."""
    traveller.start(name, until="go", word=name)
    wait_for(lambda: traveller.job_log(name), lambda log: "channel training" in "".join(log))


def test_after_kill_9_what_ran_goes_on_and_no_line_is_lost_or_doubled(dock: Dock) -> None:
    traveller = dock.start().settle_in()
    assert "user code runs in containers of Docker" in dock.served.text
    traveller.deploy("endpoint", traveller.legacy())
    trains(traveller, "running")
    before = dock.containers()

    dock.served.kill()
    assert dock.containers() == before
    again = dock.start()

    assert again.settled("endpoint")["EndpointStatus"] == "InService"
    wait_for(lambda: asked(again), lambda told: bool(told == {"word": "kept", "got": 1}))
    # Both were taken up, and nothing was started anew.
    assert dock.containers() == before, dock.served.text
    dock.served.let_go()
    ran = again.ended("running")
    assert ran["TrainingJobStatus"] == "Completed", ran.get("FailureReason")
    told = [line for line in again.job_log("running") if "channel training" in line]
    assert len(told) == 1
    again.delete("endpoint")
    wait_for(dock.containers, lambda left: not left)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_end_leaves_nothing_on_the_engine(dock: Dock, number: signal.Signals) -> None:
    traveller = dock.start().settle_in()
    traveller.deploy("endpoint", traveller.legacy())
    trains(traveller, "running")
    request = traveller.request("two", user={"until": "go"})
    request["ResourceConfig"]["InstanceCount"] = 2
    traveller.sagemaker.create_training_job(**request)
    assert dock.containers()
    wait_for(dock.networks, lambda found: len(found) == 1)

    assert dock.served.tell(number) == 0
    assert dock.containers() == {}
    assert dock.networks() == set()
    assert "Traceback" not in dock.served.text


def asked(traveller: Traveller) -> object:
    try:
        return traveller.invoke("endpoint", 1)
    except Exception as error:
        return error
