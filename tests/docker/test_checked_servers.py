"""What `sagedock check --image` finds by serving an image, an emulator shows too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from check.cases import IMAGES_DEFECTIVE, built
from journeys.traveller import Traveller
from requests_as_sdks_send import archive, log_of, wait_for
from sagedock import Emulator
from sagedock.backends.docker.engine import Engine
from sagedock.check.rules.catalogue import RULES
from sagedock.check.rules.hosting_rule import ImageHostingRule
from sagedock.lifecycle.model_server import ping

pytestmark = pytest.mark.docker

SERVED = {rule.id for rule in RULES if isinstance(rule, ImageHostingRule)}
CASES = [case for case in IMAGES_DEFECTIVE if case.head("finds") in SERVED]
BODY = b"[[1, 2], [3, 4]]"


@pytest.fixture(scope="module")
def docked(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """It kills what does not end after 2 s, and not after 30 s."""
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, backend="docker", hosting_grace_seconds=2.0) as dock:
        yield dock


class World:
    """One case as an endpoint of that name."""

    def __init__(self, name: str, traveller: Traveller, engine: Engine) -> None:
        case = next(case for case in CASES if case.name == name)
        self.image = f"sagedock-test/checked-server:{case.name}"
        self.name, self.dock, self.engine = name.replace("_", "-"), traveller, engine
        built(case.text, self.image)
        found = traveller.deploy(self.name, {"Image": self.image})
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")
        mine = {"label": f"sagedock.endpoint={self.name}"}
        (self.container,) = engine.client.containers.list(filters=mine)

    @property
    def log(self) -> list[str]:
        group = f"/aws/sagemaker/Endpoints/{self.name}"
        return log_of(self.dock.logs, group, "AllTraffic/")

    def close(self) -> None:
        mine = {"label": f"sagedock.endpoint={self.name}"}
        # One that a test has deleted is listed until its servers are gone, and not deleted twice.
        (status,) = {one["EndpointStatus"] for one in self._endpoints()} or {"Deleting"}
        if status != "Deleting":
            self.dock.sagemaker.delete_endpoint(EndpointName=self.name)
        wait_for(
            lambda: self.engine.client.api.containers(all=True, filters=mine),
            lambda found: not found,
        )
        self.engine.client.images.remove(self.image, force=True)

    def _endpoints(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.dock.sagemaker.list_endpoints()["Endpoints"]
        return [one for one in found if one["EndpointName"] == self.name]


@pytest.fixture
def world(traveller: Traveller, engine: Engine) -> Iterator[Callable[[str], World]]:
    made: list[World] = []

    def make(name: str) -> World:
        made.append(World(name, traveller, engine))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_sd513_a_ping_waits_for_all_requests(world: Callable[[str], World]) -> None:
    served = world("one_request_at_a_time")
    asking = [
        threading.Thread(target=served.dock.invoke, args=(served.name, BODY)) for _ in range(8)
    ]
    for one in asking:
        one.start()
    address = served.container.attrs["NetworkSettings"]
    networks = [net["IPAddress"] for net in address["Networks"].values()]
    # Once enough of them are on their way.
    wait_for(lambda: ping(networks[0], 8080), lambda answered: not answered)
    for one in asking:
        one.join()
    wait_for(lambda: ping(networks[0], 8080), bool)


def test_sd514_a_server_that_only_prints_is_killed(world: Callable[[str], World]) -> None:
    served = world("serve_only_prints_sigterm")
    began = int(time.time()) - 1
    served.dock.sagemaker.delete_endpoint(EndpointName=served.name)
    mine = {"container": served.container.id, "event": "die"}
    wait_for(
        lambda: served.engine.client.api.containers(filters={"id": served.container.id}),
        lambda found: not found,
    )
    now = int(time.time()) + 1
    events = served.engine.client.events(since=began, until=now, filters=mine, decode=True)
    assert [event["Actor"]["Attributes"]["exitCode"] for event in events] == ["137"]
    wait_for(lambda: served.log, lambda log: "asked to stop" in log)


def test_sd516_a_request_without_an_answer_is_a_model_error(
    world: Callable[[str], World],
) -> None:
    served = world("error_that_nobody_answers")
    said = served.dock.refusal(served.name, b'{"instances": [[1, 2]]}')
    assert said["Error"]["Code"] == "ModelError"
    assert "closed the connection without an answer" in said["Error"]["Message"]
    wait_for(lambda: served.log, lambda log: any("KeyError: 'rows'" in line for line in log))


def test_sd514_a_shell_script_without_exec_is_killed_as_process_1(
    engine: Engine, tmp_path: Path
) -> None:
    """In the emulator an init is process 1, so that it ends there; the service has none: `docker
    run image serve`."""
    case = next(case for case in CASES if case.name == "serve_script_without_exec")
    tag = "sagedock-test/checked-server:without-exec"
    built(case.text, tag)
    container = engine.client.containers.create(tag, "serve", init=False)
    try:
        container.start()
        wait_for(lambda: container.top()["Processes"], lambda found: len(found) == 2)
        container.stop(timeout=2)
        assert container.wait()["StatusCode"] == 137
    finally:
        container.remove(force=True)
        engine.client.images.remove(tag, force=True)


HEAVY = """\
def model_fn(model_dir):
    return bytes([1]) * (900 << 20)


def transform_fn(model, data, content_type, accept):
    return str(len(model)), "application/json"
"""


@pytest.mark.slow
def test_sd515_workers_that_do_not_fit_are_killed_again_and_again(
    traveller: Traveller, engine: Engine
) -> None:
    """With SAGEDOCK_FORK=0 each loads the model itself, as in the cloud; forked, they share it."""
    if engine.facts.memory_bytes < 6 * 1024**3:
        pytest.skip("the engine's machine is no larger than the instance, and limits nothing")
    model = archive({"code/inference.py": HEAVY})
    container = {
        "Image": "sagedock/python",
        "ModelDataUrl": traveller.put("heavy.tar.gz", model),
        "Environment": {"SAGEMAKER_MODEL_SERVER_WORKERS": "6", "SAGEDOCK_FORK": "0"},
    }
    traveller.deploy("heavy", container, InstanceType="ml.c5.large")  # 4 GiB
    group = "/aws/sagemaker/Endpoints/heavy"
    wait_for(lambda: log_of(traveller.logs, group, "AllTraffic/"),
             lambda log: any("ended by signal 9" in line for line in log), 120)  # fmt: skip
    traveller.delete("heavy")


def test_every_case_of_a_served_image_is_seen() -> None:
    assert {case.name for case in CASES} == {
        "one_request_at_a_time",
        "serve_only_prints_sigterm",
        "error_that_nobody_answers",
        "serve_script_without_exec",
    }
