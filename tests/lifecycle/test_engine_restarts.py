"""Jobs and endpoints over a restart of the Docker engine that they run on."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from backends.byo import maker
from daemons import Daemon, daemon, why_none
from lifecycle.house import BUCKET, House
from requests_as_sdks_send import wait_for
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine, EngineUnavailable
from scripted import ScriptedBackend

pytestmark = [pytest.mark.docker, pytest.mark.slow]

BASE = "python:3.11-slim-bookworm"
SERVE = b"""#!/usr/bin/env python3
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.uname().nodename.encode())
print('serving', flush=True)
http.server.HTTPServer(('', 8080), Answer).serve_forever()
"""
TRAIN = b"""#!/usr/bin/env python3
import time
print('training', flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Daemon]:
    if why_none():
        pytest.skip(why_none())
    try:
        engine = Engine.connect()
    except EngineUnavailable as why:
        pytest.skip(str(why))
    with closing(engine), daemon() as made:
        made.load(engine, BASE)
        yield made


@pytest.fixture
def image(mortal: Daemon) -> Iterator[str]:
    with maker(mortal.engine) as made:
        yield made.image(base=BASE, serve=SERVE, train=TRAIN)


@pytest.fixture
def house(mortal: Daemon, tmp_path: Path) -> Iterator[House]:
    """On that engine, which is reached over a network: so its servers are, too."""
    backend = DockerBackend(Engine.connect(mortal.remote), tmp_path)
    house = House(tmp_path, cast("ScriptedBackend", backend))
    house.objects.create_bucket(BUCKET)
    yield house
    house.close()


def answer(house: House) -> str:
    """The host name of the server that the endpoint's route leads to; "" while there is none."""
    for variant in house.route().variants:
        for server in variant.servers:
            try:
                address = f"http://{server.host}:{server.port}/ping"
                with urllib.request.urlopen(address, timeout=5) as told:
                    return str(told.read().decode())
            except OSError:
                return ""
    return ""


def test_a_server_that_ended_with_its_engine_is_started_again(
    house: House, mortal: Daemon, image: str
) -> None:
    house.model("model", Image=image)
    house.config("one")
    house.deploy()
    house.settled()
    before = house.ports()
    assert answer(house) != ""
    mortal.stop()
    mortal.start()
    wait_for(lambda: answer(house), bool)
    assert house.settled().status == "InService"
    assert len(house.ports()) == len(before) == 1
    assert len(mortal.engine.client.containers.list(all=True)) == 1


def test_a_job_that_ended_with_its_engine_is_failed_and_told_why(
    house: House, mortal: Daemon, image: str
) -> None:
    job = {"TrainingImage": image, "TrainingInputMode": "File"}
    house.train("job", AlgorithmSpecification=job)
    wait_for(lambda: house.log("job/"), lambda said: "training" in said)
    mortal.stop()
    mortal.start()
    ended = wait_for(lambda: house.jobs.get("job"), lambda found: bool(found.has_ended))
    assert ended.status == "Failed"
    assert ended.failure_reason == (
        "InternalServerError: the Docker engine was stopped while it ran, and ended it. Create the "
        "job again."
    )
    assert house.log("job/") == ["training"]
    list_all = mortal.engine.client.containers.list
    wait_for(lambda: list_all(all=True, ignore_removed=True), lambda left: left == [])


def test_a_job_that_outlived_its_engine_goes_on(house: House, mortal: Daemon, image: str) -> None:
    mortal.stop()
    mortal.start(**{"live-restore": True})
    waits = "echo begun; while ! [ -e /opt/ml/model/go ]; do sleep 0.05; done; echo over"
    sleeps = ["sh", "-c", waits]
    job = {"TrainingImage": image, "TrainingInputMode": "File", "ContainerEntrypoint": sleeps}
    house.train("job", AlgorithmSpecification=job)
    wait_for(lambda: house.log("job/"), lambda said: "begun" in said)
    mortal.stop()
    mortal.start()
    (house.folder / "jobs/job/algo-1/ml/model/go").touch()
    ended = wait_for(lambda: house.jobs.get("job"), lambda found: bool(found.has_ended))
    assert ended.status == "Completed", ended.failure_reason
    assert house.log("job/") == ["begun", "over"]
    mortal.stop()
    mortal.start(**{"live-restore": False})


@pytest.mark.parametrize("name", ["UPPER:case", "no-such-image:1"])
def test_a_job_whose_image_there_cannot_be_is_failed_as_the_client_s_fault(
    house: House, name: str
) -> None:
    house.train("job", AlgorithmSpecification={"TrainingImage": name, "TrainingInputMode": "File"})
    ended = house.ended()
    assert ended.status == "Failed"
    assert str(ended.failure_reason).startswith("ClientError: ")
    assert name in str(ended.failure_reason)


def test_a_job_created_while_the_engine_restarts_waits_for_it(
    house: House, mortal: Daemon, image: str
) -> None:
    mortal.stop()
    job = {"TrainingImage": image, "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]}
    house.train("job", AlgorithmSpecification=job)
    mortal.start()
    ended = wait_for(lambda: house.jobs.get("job"), lambda found: bool(found.has_ended))
    assert ended.status == "Completed", ended.failure_reason
