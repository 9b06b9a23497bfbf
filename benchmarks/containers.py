"""What containers cost: the start of a job and an endpoint, and an invocation, beside the engine.

    python benchmarks/containers.py [--rounds 7] [--invocations 2000] [--sdk PYTHON]

Needs a Docker engine and the image sagedock/mxnet (`sagedock images build mxnet-cpu`). The floor of
a start is `docker run` of the same image with the same script on a folder laid ready, until its
first line (`train`) or its first healthy /ping (`serve`); that of an invocation is the model
server's own address, asked directly. `--sdk` names a Python that has `sagemaker[local]` (SDK v2)
and measures `fit` and `deploy` of its local mode in the same rounds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from launch import SCRIPT, Bench

from sagedock import Emulator
from sagedock.backends.docker.engine import Engine
from sagedock.domain.images import ImageTable

LOCAL_MODE = """
import sys, time, boto3
from sagemaker.local import LocalSession
from sagemaker.mxnet import MXNet
image, script, folder, port = sys.argv[1:]
session = LocalSession(boto_session=boto3.Session(region_name="us-east-1"))
session.config = {"local": {"local_code": True, "serving_port": int(port)}}
session.sagemaker_config = {"SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
estimator = MXNet(entry_point=script, role="arn:aws:iam::000000000000:role/local",
    image_uri=image, framework_version="1.9.0", py_version="py38", instance_count=1,
    instance_type="local", output_path="file://" + folder, code_location="s3://nowhere",
    sagemaker_session=session)
print("fit from", time.time(), flush=True)
estimator.fit()
print("deploy from", time.time(), flush=True)
predictor = estimator.deploy(1, "local")
print("deployed at", time.time(), flush=True)
predictor.delete_endpoint()
"""
SCRIPT_MODE = """
import time
if __name__ == "__main__":
    print("first line", time.time(), flush=True)
    open("/opt/ml/model/model.json", "w").close()

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return data, accept
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--invocations", type=int, default=2000)
    parser.add_argument("--sdk", type=Path, metavar="PYTHON")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    image = ImageTable.builtin().family("mxnet").engine_tag("cpu")
    engine = Engine.connect()
    print(f"{engine.facts}; {image}")
    taken: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        floor = Floor(engine, image, Path(scratch))
        with Emulator(home=Path(scratch, "home"), backend="docker") as dock:
            bench = Bench(dock, Path(scratch), Path())
            bench.fit("plain")  # the first of everything loads code and warms caches
            bench.in_service()
            for _ in range(arguments.rounds):
                taken["train, docker run"].append(floor.first_line())
                taken["train, sagedock"].append(bench.fit("plain")[0])
                taken["serve, docker run"].append(floor.healthy())
                taken["serve, sagedock"].append(bench.in_service())
                if arguments.sdk is not None:
                    fit, deploy = floor.local_mode(arguments.sdk)
                    taken["train, local mode"].append(fit)
                    taken["serve, local mode"].append(deploy)
            report(taken, arguments.rounds)
            invocations(bench, arguments.invocations)


class Floor:
    """The engine's own command, on an /opt/ml that lies ready."""

    def __init__(self, engine: Engine, image: str, scratch: Path) -> None:
        self._engine, self._image, self._scratch = engine, image, scratch
        self._ml = scratch / "ml"
        config = self._ml / "input" / "config"
        for folder in (config, self._ml / "model", self._ml / "output" / "data"):
            folder.mkdir(parents=True)
        code = scratch / "code"
        code.mkdir()
        (code / "script.py").write_text(SCRIPT)
        told = {
            "sagemaker_program": "script.py",
            "sagemaker_submit_directory": "/code",
            "sagemaker_job_name": "bare",
            "sagemaker_region": "us-east-1",
            "sagemaker_container_log_level": 20,
            "sagemaker_enable_cloudwatch_metrics": False,
        }
        host = {"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}
        for name, value in (
            ("hyperparameters", {key: json.dumps(text) for key, text in told.items()}),
            ("inputdataconfig", {}),
            ("resourceconfig", host),
        ):
            (config / f"{name}.json").write_text(json.dumps(value))
        self._run = [
            *("docker", "run", "--rm", "--init", "-v", f"{self._ml}:/opt/ml"),
            *("-v", f"{code}:/code:ro", "-e", "SAGEDOCK_FRAMEWORK_VERSION=1.2.1"),
        ]

    def first_line(self) -> float:
        """Seconds until the script's first line."""
        began = time.time()
        told = subprocess.run(
            [*self._run, self._image, "train"], capture_output=True, text=True, check=True
        )
        line = next(line for line in told.stdout.splitlines() if "first line" in line)
        return float(line.split()[-1]) - began

    def healthy(self) -> float:
        """Seconds until /ping answers 200."""
        serving = ("-e", "SAGEMAKER_PROGRAM=script.py", "-e", "SAGEMAKER_SUBMIT_DIRECTORY=/code")
        began = time.time()
        command = [*self._run, "-d", *serving, self._image, "serve"]
        started = subprocess.run(command, capture_output=True, text=True, check=True)
        name = started.stdout.strip()
        try:
            settings = self._engine.client.api.inspect_container(name)["NetworkSettings"]
            while not _answers(settings["IPAddress"], 8080):
                time.sleep(0.01)
            return time.time() - began
        finally:
            subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=True)

    def local_mode(self, sdk: Path) -> tuple[float, float]:
        """Seconds of `fit` until the first line, and of `deploy`, by the SDK itself."""
        program, script = self._scratch / "local.py", self._scratch / "script_mode.py"
        program.write_text(LOCAL_MODE)
        script.write_text(SCRIPT_MODE)
        folder = tempfile.mkdtemp(dir=self._scratch)
        nowhere = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "none"}
        told = subprocess.run(
            [str(sdk), str(program), self._image, str(script), folder, "18080"],
            env={**os.environ, **nowhere, "AWS_SECRET_ACCESS_KEY": "none"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        ).stdout
        at = {
            key: float(next(line for line in told.splitlines() if key in line).split()[-1])
            for key in ("fit from", "first line", "deploy from", "deployed at")
        }
        return at["first line"] - at["fit from"], at["deployed at"] - at["deploy from"]


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def report(taken: dict[str, list[float]], rounds: int) -> None:
    print(f"medians of {rounds} rounds, seconds, and what is added to docker run")
    for kind in ("train", "serve"):
        bare = statistics.median(taken[f"{kind}, docker run"])
        for way in ("docker run", "sagedock", "local mode"):
            if taken[f"{kind}, {way}"]:
                median = statistics.median(taken[f"{kind}, {way}"])
                print(f"  {kind + ', ' + way:<22}{median:8.3f}  {median - bare:+8.3f}")


def invocations(bench: Bench, count: int) -> None:
    """One kept-alive connection each, in turn."""
    with served(bench) as (name, server):
        emulator = urlsplit(bench.dock.url)
        ways = {
            "model server": (server, "/invocations"),
            "sagedock": ((str(emulator.hostname), int(emulator.port or 80)), _path(name)),
        }
        links = {way: http.client.HTTPConnection(*there) for way, (there, _) in ways.items()}
        taken: dict[str, list[float]] = defaultdict(list)
        for _ in range(count):
            for way, (_, path) in ways.items():
                began = time.perf_counter()
                links[way].request("POST", path, b"{}", {"Content-Type": "application/json"})
                links[way].getresponse().read()
                taken[way].append(time.perf_counter() - began)
    print(f"medians of {count} invocations, milliseconds")
    for way, seconds in taken.items():
        print(f"  {way:<22}{statistics.median(seconds) * 1000:8.3f}")


@contextmanager
def served(bench: Bench) -> Iterator[tuple[str, tuple[str, int]]]:
    """An endpoint's name, and the address of its container."""
    name = bench.deploy()
    engine = Engine.connect()
    (box,) = engine.client.containers.list(filters={"label": f"sagedock.endpoint={name}"})
    networks = box.attrs["NetworkSettings"]["Networks"].values()
    yield name, (next(iter(networks))["IPAddress"], 8080)
    bench.sagemaker.delete_endpoint(EndpointName=name)


def _path(endpoint: str) -> str:
    return f"/endpoints/{endpoint}/invocations"


if __name__ == "__main__":
    main()
