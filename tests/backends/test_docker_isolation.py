"""A model server without a network answers all the same, by either way of the relay."""

from __future__ import annotations

import urllib.request

import pytest

from backends.stages import DockerStage
from requests_as_sdks_send import wait_for
from sagedock.backends.base import Run
from sagedock.backends.docker import relay
from sagedock.errors import RunFailedToStart

pytestmark = pytest.mark.docker


def ask(run: Run, body: bytes) -> bytes:
    host, port = run.address(8080)
    request = urllib.request.Request(f"http://{host}:{port}/invocations", data=body)

    def answered() -> bytes | None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return None

    said = wait_for(answered, lambda body: body is not None)
    assert isinstance(said, bytes)
    return said


@pytest.mark.parametrize("way", ["inside", "carried"])
def test_an_isolated_server_answers(
    docker_stage: DockerStage, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "carried":
        monkeypatch.setattr(relay, "_process_of", lambda engine, container: None)
    play = docker_stage.play().serves()
    run = docker_stage.start(play, ports=(8080,), isolated=True, command=("serve",))

    body = bytes(range(256)) * 4096
    assert ask(run, body) == body


def test_without_python_inside_nothing_carries_to_an_isolated_server(
    docker_stage: DockerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_process_of", lambda engine, container: None)
    monkeypatch.setattr(relay, "_PYTHONS", ("nobodys-python", "/nor/this"))
    play = docker_stage.play().serves()
    run = docker_stage.start(play, ports=(8080,), isolated=True, command=("serve",))

    with pytest.raises(RunFailedToStart, match="the image has no Python"):
        run.address(8080)


def test_nobody_answers_where_an_isolated_server_has_ended(docker_stage: DockerStage) -> None:
    run = docker_stage.start(docker_stage.play().exits(0), ports=(8080,), isolated=True)
    run.wait(60)
    assert run.address(8080) == ("127.0.0.1", 0)


def test_an_isolated_run_has_no_way_out(docker_stage: DockerStage) -> None:
    play = docker_stage.play().does(
        "import socket\n"
        "print(open('/proc/net/route').read().count(chr(10)))\n"
        "print(socket.gethostbyname(socket.gethostname()))\n"
        "try: socket.create_connection(('172.17.0.1', 80), 5)\n"
        "except OSError as error: print(error.strerror)"
    )
    run = docker_stage.start(play, isolated=True)

    said = [line.text for line in run.lines()]
    assert said == ["1", "127.0.0.1", "Network is unreachable"]
