"""`sagedock serve --backend docker` killed, ended and started again on the same home."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.served import Served
from journeys.traveller import Traveller
from requests_as_sdks_send import wait_for
from sagedock.backends.docker.engine import Engine

pytestmark = [pytest.mark.docker, pytest.mark.slow]


class Dock:
    """The emulator, and what it has on the engine: containers and networks, by its home's label."""

    def __init__(self, served: Served, engine: Engine) -> None:
        self.served, self._engine = served, engine
        self._before = self._everything()

    def start(self) -> Traveller:
        return Traveller(self.served.start().client_kwargs)

    def containers(self) -> set[str]:
        """Those that were not there before, of whatever home: no other test starts one meanwhile
        whose workdir is below ours."""
        boxes = self._engine.client.containers.list(
            all=True, filters={"label": "sagedock.workdir"}, ignore_removed=True
        )
        home = str(self.served.home)
        return {str(box.id) for box in boxes if box.labels["sagedock.workdir"].startswith(home)}

    def networks(self) -> set[str]:
        return self._everything() - self._before

    def _everything(self) -> set[str]:
        networks = self._engine.client.networks.list(filters={"label": "sagedock.network"})
        return {str(network.name) for network in networks}


@pytest.fixture
def dock(tmp_path: Path, engine: Engine) -> Iterator[Dock]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
    # One port for all its lives, as users have it: runs know the emulator by it.
    served = Served(tmp_path / "home", tmp_path, "--backend", "docker", "--port", port)
    dock = Dock(served, engine)
    yield dock
    served.end()
    for container in dock.containers():
        engine.client.api.remove_container(container, force=True)


def trains(traveller: Traveller, name: str, seconds: int = 8) -> None:
    """Start a job of some seconds and wait until its script runs."""
    traveller.start(name, seconds=seconds, word=name)
    wait_for(lambda: traveller.job_log(name), lambda log: "channel training" in "".join(log), 40)


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
    wait_for(lambda: asked(again), lambda told: bool(told == {"word": "kept", "got": 1}), 30)
    assert dock.containers() == before, "both were taken up, and nothing was started anew"
    ran = again.ended("running")
    assert ran["TrainingJobStatus"] == "Completed", ran.get("FailureReason")
    told = [line for line in again.job_log("running") if "channel training" in line]
    assert len(told) == 1
    again.delete("endpoint")
    wait_for(dock.containers, lambda left: not left, 40)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_end_leaves_nothing_on_the_engine(dock: Dock, number: signal.Signals) -> None:
    traveller = dock.start().settle_in()
    traveller.deploy("endpoint", traveller.legacy())
    trains(traveller, "running", seconds=60)
    request = traveller.request("two", user={"seconds": 60})
    request["ResourceConfig"]["InstanceCount"] = 2
    traveller.sagemaker.create_training_job(**request)
    wait_for(dock.networks, lambda found: len(found) == 1, 30)

    assert dock.served.tell(number) == 0
    assert dock.containers() == set()
    assert dock.networks() == set()
    assert "Traceback" not in dock.served.text


def asked(traveller: Traveller) -> object:
    try:
        return traveller.invoke("endpoint", 1)
    except Exception as error:
        return error
