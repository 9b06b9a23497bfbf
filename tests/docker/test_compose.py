"""docker compose up, a client's day, docker compose down: the whole of it on a real engine."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs.pages import script
from journeys.served import free_port
from journeys.traveller import Traveller
from sagedock.backends.docker.labels import HOME

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compose.md"
KEYS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "k",
    "aws_secret_access_key": "s",
}
MOST_BYTES = 250_000_000
IMAGE = "sagedock/python"
TESTS_ALL = bool(os.environ.get("SAGEDOCK_TEST_ALL"))
"""Read now: a fixture for all tests removes it."""

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def told(*words: str, **environment: str) -> str:
    """The command's output; fails with what it said."""
    ended = subprocess.run(
        words, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert ended.returncode == 0, f"{shlex.join(words)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


class Project:
    """docker-compose.yml under a name and on a port of the test's own."""

    def __init__(self) -> None:
        self.name = f"sagedock-test-{secrets.token_hex(4)}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __call__(self, *words: str, **environment: str) -> str:
        settings = {
            "COMPOSE_PROJECT_NAME": self.name,
            "SAGEDOCK_PORT": str(self.port),
            "NOTEBOOK_PORT": str(free_port()),
        }
        return told("docker", "compose", *words, **settings, **environment)

    def up(self) -> None:
        self("up", "--detach", "--wait")

    def down(self) -> None:
        self("--profile", "*", "down", "-v")

    def of_ours(self) -> set[str]:
        """Ids of the containers of this project's jobs and endpoints."""
        near = told("docker", "ps", "-aq", "--filter", f"network={self.name}_default").split()
        labels = {
            told("docker", "inspect", "-f", f'{{{{index .Config.Labels "{HOME}"}}}}', box).strip()
            for box in near
        }
        return {box for label in labels - {""} for box in of_home(label)}


def of_home(label: str) -> list[str]:
    return told("docker", "ps", "-aq", "--filter", f"label={HOME}={label}").split()


@pytest.fixture(scope="module", autouse=True)
def _compose_and_an_engine() -> None:
    for words in (["docker", "version"], ["docker", "compose", "version"]):
        if shutil.which("docker") is None or subprocess.run(words, capture_output=True).returncode:
            pytest.skip(f"`{shlex.join(words)}` fails here")


@pytest.fixture(scope="module")
def compose() -> Iterator[Project]:
    project = Project()
    try:
        project.up()
        yield project
    finally:
        project.down()


@pytest.fixture(scope="module")
def traveller(compose: Project) -> Traveller:
    return Traveller({"endpoint_url": compose.url, **KEYS}).settle_in()


def plain(container: dict[str, Any]) -> dict[str, Any]:
    """The container in the image for plain scripts, which is quick."""
    return {**container, "Image": IMAGE}


def test_the_image_is_small_and_not_root_s(compose: Project) -> None:
    said = told(
        "docker", "image", "inspect", "-f", "{{.Size}} {{.Config.User}}", "sagedock/emulator"
    )
    size, user = said.split()

    assert int(size) < MOST_BYTES
    assert user == "1000:1000"


def test_nothing_of_root_is_left_when_the_emulator_runs(compose: Project) -> None:
    status = compose("exec", "-T", "sagedock", "cat", "/proc/1/status").splitlines()
    said = dict(line.split(":", 1) for line in status)

    assert said["Uid"].split() == ["1000"] * 4
    assert said["CapEff"].strip() == said["CapPrm"].strip() == "0" * 16
    assert said["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("seconds", [0, 0.1, 0.2, 0.4, 0.8])
def test_a_stop_is_heard_as_soon_as_the_emulator_starts(compose: Project, seconds: float) -> None:
    home = ("-e", "SAGEDOCK_HOME=/tmp/home")  # that of the project is in use
    said = compose("run", "--detach", "-T", "--no-deps", *home, "sagedock")
    box = said.split()[-1]
    try:
        time.sleep(seconds)
        told("docker", "stop", "--time", "120", box)
        code = told("docker", "inspect", "-f", "{{.State.ExitCode}}", box).strip()
        # 143 while it starts, 0 from then on; 137 would be the engine's patience at its end.
        assert code in ("143", "0"), told("docker", "logs", box)
    finally:
        told("docker", "rm", "-f", box)


@pytest.mark.parametrize("known", [True, False], ids=["told", "found"])
def test_the_group_of_the_engine_s_socket_is_the_container_s(compose: Project, known: bool) -> None:
    group = str(os.stat("/var/run/docker.sock").st_gid)
    told_group = {"DOCKER_GID": group} if known else {}

    said = compose("run", "--rm", "-T", "--no-deps", "sagedock", "id", **told_group)
    said = said.splitlines()[-1]  # the lines before are the build's

    assert said.startswith("uid=1000")
    assert group in said.partition("groups=")[2].replace("(", ",").split(",")


def test_a_wrong_group_is_refused_with_the_right_one(compose: Project) -> None:
    group = os.stat("/var/run/docker.sock").st_gid
    home = ("-e", "SAGEDOCK_HOME=/tmp/home")  # that of the project is in use

    with pytest.raises(AssertionError, match=f"Say DOCKER_GID={group} in .env"):
        compose("run", "--rm", "-T", "--no-deps", *home, "sagedock", DOCKER_GID="4242")


def test_what_the_image_leaves_out_is_missed_in_a_sentence(compose: Project) -> None:
    for words in (("invoke", "endpoint", "file"), ("images", "build", "--backend", "process")):
        with pytest.raises(AssertionError, match=r"sagedock: .*(NumPy|uv)"):
            compose("exec", "-T", "sagedock", "sagedock", *words)


def test_a_script_is_trained_and_served_beside_the_emulator(traveller: Traveller) -> None:
    request = traveller.request("beside")
    request["AlgorithmSpecification"]["TrainingImage"] = IMAGE
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended("beside")
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")

    container = traveller.legacy(job["ModelArtifacts"]["S3ModelArtifacts"])
    endpoint = traveller.deploy("beside", plain(container))

    assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
    assert traveller.invoke("beside", {"asked": 1})
    traveller.delete("beside")


def test_a_model_without_a_network_is_served_beside_the_emulator(traveller: Traveller) -> None:
    container = traveller.self_contained(IMAGE, "alone")

    endpoint = traveller.deploy("alone", container, isolated=True)

    assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
    big = "x" * 2**20
    assert traveller.invoke("alone", {"a": big}) == {"word": "alone", "got": {"a": big}}
    traveller.delete("alone")


def test_a_shell_without_sagedock_is_led_here_by_the_emulator_s_own_lines(
    compose: Project, tmp_path: Path
) -> None:
    program = "import boto3; print(boto3.client('sts', endpoint_url='https://sts.us-east-1."
    program += "amazonaws.com').get_caller_identity()['Account'])"
    lines = f'eval "$(curl -s {compose.url}/_sagedock/env)"'

    said = told("sh", "-c", f'{lines}; "$0" -c "$1"', sys.executable, program, TMPDIR=str(tmp_path))

    assert said == "000000000000\n"


def test_neighbours_may_use_the_proxy_s_tunnels(compose: Project) -> None:
    with socket.create_connection(("127.0.0.1", compose.port), 10) as client:
        client.sendall(b"CONNECT 127.0.0.1:4599 HTTP/1.1\r\nHost: 127.0.0.1:4599\r\n\r\n")

        assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_rebound_name_is_refused(compose: Project) -> None:
    said = told("curl", "-s", "-H", "Host: rebound.example", f"{compose.url}/_sagedock/info")

    assert "no name of this machine" in said


def test_state_outlives_the_container(compose: Project, traveller: Traveller) -> None:
    traveller.put("kept", b"kept")
    compose("down")
    compose.up()

    assert traveller.get(f"s3://{traveller.bucket}/kept") == b"kept"


def test_down_leaves_nothing_of_a_job_and_an_endpoint() -> None:
    project = Project()
    try:
        project.up()
        traveller = Traveller({"endpoint_url": project.url, **KEYS}).settle_in()
        traveller.deploy("left", plain(traveller.legacy()))
        running = project.of_ours()
        label = told(
            "docker", "inspect", "-f", f'{{{{index .Config.Labels "{HOME}"}}}}', *running
        ).split()[0]
    finally:
        project.down()

    assert running
    assert of_home(label) == []
    named = ["--filter", f"name={project.name}", "--format", "{{.Name}}"]
    assert told("docker", "volume", "ls", *named) == ""
    assert told("docker", "network", "ls", *named) == ""
    assert told("docker", "network", "ls", "-q", "--filter", f"label={HOME}={label}") == ""


@pytest.mark.skipif(not TESTS_ALL, reason="builds JupyterLab's image")
def test_the_commands_of_the_page_run_in_their_order(tmp_path: Path) -> None:
    project = Project()
    left_out = {"docker compose --profile gpu up gpu": "needs a GPU"}
    commands = script(PAGE, tmp_path, left_out).replace("4599", str(project.port))
    environment = {
        "COMPOSE_PROJECT_NAME": project.name,
        "SAGEDOCK_PORT": str(project.port),
        "NOTEBOOK_PORT": str(free_port()),
        "TMPDIR": str(tmp_path),
        "SAGEDOCK_HOME": str(tmp_path / "home"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    try:
        told("bash", "-c", commands, **environment)
    finally:
        project.down()


@pytest.mark.skipif(not TESTS_ALL, reason="trains for a minute, and builds JupyterLab's image")
def test_the_notebook_runs_as_it_is(compose: Project) -> None:
    compose("--profile", "notebook", "up", "--detach", "--wait")

    run = ("start-notebook", "jupyter", "nbconvert", "--to", "markdown", "--stdout", "--execute")
    said = compose("exec", "-T", "notebook", *run, "cifar10.ipynb")

    assert "Completed s3://" in said
    assert "airplane →" in said
