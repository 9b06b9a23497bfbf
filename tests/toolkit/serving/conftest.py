"""Real servers on free ports, each with a temporary /opt/ml and a script of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TOOLKIT = Path(__file__).parents[3] / "containers" / "mxnet" / "toolkit"

PYTHON = os.environ.get("SAGEDOCK_TEST_PYTHON", sys.executable)
"""The interpreter that servers run on: the toolkit supports more than the emulator does."""

MXNET_PYTHON = os.environ.get("SAGEDOCK_TEST_MXNET_PYTHON", "")
"""Read now: a fixture for all tests removes SAGEDOCK_* from the environment."""

PATIENCE = 120.0
"""Seconds: no server takes so long, on however busy a machine."""

LEGACY, EARLY, MODERN = "1.2.1", "1.3.0", "1.9.0"
HEALTHY = {"status": "Healthy"}
JSON = {"Content-Type": "application/json"}

ECHO = """
    import json, os, signal, sys, time

    def model_fn(model_dir):
        return {"dir": model_dir}

    def transform_fn(model, data, content_type, accept):
        if isinstance(data, str) and data.startswith("{"):
            order = json.loads(data)
            if "fail" in order:
                raise ValueError(order["fail"])
            if "told" in order:
                print("began", order["told"], flush=True)
            if "die" in order:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(order.get("sleep", 0))
            if "big" in order:
                return "x" * order["big"], accept
        told = {"type": type(data).__name__, "content_type": content_type, "accept": accept,
                "length": len(data), "pid": os.getpid()}
        return json.dumps(told), "application/json"
"""
"""A script that says what it was given, and fails, sleeps or dies when told to."""


class Reply(NamedTuple):
    """An HTTP answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def content_type(self) -> str | None:
        return self.headers["Content-Type"]


class Served:
    """One `python -m sagedock_toolkit serve`."""

    def __init__(self, base: Path, environ: dict[str, str], python: str) -> None:
        self.base = base
        self.port = int(environ["SAGEMAKER_BIND_TO_PORT"])
        self._log = base / "log.txt"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "sagedock_toolkit", "serve"],
                env=environ, cwd=base, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def request(
        self, method: str, path: str, body: bytes | str | None = None, headers: Any = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def invoke(self, body: Any, headers: dict[str, str] | None = None) -> Reply:
        """POST /invocations; what is neither text nor bytes is sent as JSON."""
        is_json = not isinstance(body, (str, bytes))
        sent = json.dumps(body) if is_json else body
        return self.request("POST", "/invocations", sent, JSON if headers is None else headers)

    def raw(self, sent: bytes, until_close: bool = True) -> bytes:
        """What comes back for these bytes until the server closes the connection."""
        with self.connect() as client:
            client.sendall(sent)
            return read_to_end(client)

    def wait_for_log(self, text: str) -> None:
        wait_until(lambda: text in self.log, f"{text!r} in the log")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    while True:
        part = client.recv(1 << 16)
        if not part:
            return received
        received += part


def wait_until(holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Serve = Callable[..., Served]


class World:
    """Starts servers and stops them all at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: list[Served] = []

    def serve(
        self, script: str | None, version: str = MODERN, *, workers: int = 1, wait: bool = True,
        files: dict[str, bytes] | None = None, python: str = PYTHON, **environ: str,
    ) -> Served:  # fmt: skip
        """Put `script` where its generation looks for it, serve it, wait until it is healthy."""
        base = self._folder / str(len(self._servers))
        code = base / ("model/code" if version == MODERN else "code")
        code.mkdir(parents=True)
        (base / "model").mkdir(exist_ok=True)
        if script is not None:
            (code / "script.py").write_text(textwrap.dedent(script))
        for name, content in (files or {}).items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_bytes(content)
        variables = {
            "PATH": os.environ["PATH"], "PYTHONPATH": str(TOOLKIT), "SAGEMAKER_BASE_DIR": str(base),
            "SAGEMAKER_BIND_TO_PORT": str(free_port()), "SAGEDOCK_BIND_HOST": "127.0.0.1",
            "SAGEDOCK_FRAMEWORK_VERSION": version, "SAGEMAKER_PROGRAM": "script.py",
            "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers), **environ,
        }  # fmt: skip
        served = Served(base, {k: v for k, v in variables.items() if v}, python)
        self._servers.append(served)
        if wait:
            wait_until(lambda: is_up(served), "an answer to /ping")
        return served

    def stop(self) -> None:
        for served in self._servers:
            served.stop()


def is_up(served: Served) -> bool:
    assert served.process.poll() is None, served.log
    try:
        reply = served.request("GET", "/ping")
    except OSError:
        return False
    # Not Unhealthy, before a worker is there, nor Partial Healthy, before all are.
    return reply.status == 200 and (reply.body == b"" or reply.json == HEALTHY)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Servers of one test."""
    world = World(tmp_path)
    yield world
    world.stop()


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Servers that all tests of a file may ask."""
    world = World(tmp_path_factory.mktemp("served"))
    yield world
    world.stop()


@pytest.fixture(scope="session")
def echo_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The echo servers, which all files ask."""
    world = World(tmp_path_factory.mktemp("echo"))
    yield world
    world.stop()


@pytest.fixture(params=["legacy_echo", "early_echo", "modern_echo"])
def any_echo(request: pytest.FixtureRequest) -> Served:
    """The echo script, in each generation."""
    served: Served = request.getfixturevalue(request.param)
    return served


@pytest.fixture(scope="session")
def legacy_echo(echo_world: World) -> Served:
    return echo_world.serve(ECHO, LEGACY, workers=2)


@pytest.fixture(scope="session")
def early_echo(echo_world: World) -> Served:
    return echo_world.serve(ECHO, EARLY, workers=2)


@pytest.fixture(scope="session")
def modern_echo(echo_world: World) -> Served:
    return echo_world.serve(ECHO, MODERN, workers=2)


@pytest.fixture(scope="session")
def mxnet_python() -> str:
    """An interpreter with MXNet."""
    if not MXNET_PYTHON:
        pytest.skip("SAGEDOCK_TEST_MXNET_PYTHON names no Python with mxnet")
    return MXNET_PYTHON
