"""What it costs to get going: from a request to the first line of user code, and to InService.

    python benchmarks/launch.py [--rounds 5] [--size 170] [--sdk PYTHON]

Each figure is measured beside a floor in the same round, in turn, and medians over rounds are
printed with their ratio. The floors: the same interpreter started by hand until it prints a line
(with `import mxnet` before it, where the script imports it), and a copy and a hard link of the same
file. `--sdk` names a Python that has SageMaker SDK v2: then `fit` is measured through it as well.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from sagedock import Emulator
from sagedock.backends.frameworks import Frameworks
from sagedock.store.objects import Objects

MIB = 1024 * 1024
BUCKET = "bench"
IMAGE = "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-mxnet:1.2.1-cpu-py3"
ROLE = "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole-bench"
SCRIPT = """
import time

def train(hyperparameters, **others):
    print("first line", time.time(), flush=True)

def save(model, model_dir):
    open(model_dir + "/model.json", "w").close()

def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return data, accept
"""
SDK_FIT = """
import sys, time, sagemaker
from sagemaker.mxnet import MXNet
estimator = MXNet(entry_point=sys.argv[1], role=sagemaker.get_execution_role(), instance_count=1,
    instance_type="ml.m5.large", framework_version="1.9.0", py_version="py38")
began = time.time()
estimator.fit(logs=False)
print("took", time.time() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=170, metavar="MIB")
    parser.add_argument("--sdk", type=Path, metavar="PYTHON")
    parser.add_argument("--frameworks", type=Path, default=Path("~/.sagedock/frameworks"))
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    frameworks = arguments.frameworks.expanduser().absolute()
    python = Frameworks(frameworks).ensure("mxnet", print).python
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        with Emulator(home=home, frameworks=frameworks, backend="process") as dock:
            bench = Bench(dock, Path(scratch), python)
            measure_launch(bench, arguments.rounds, arguments.sdk)
        measure_staging(home, Path(scratch), arguments.size, arguments.rounds)


class Bench:
    """Clients of an emulator, the scripts' archives in its S3, and the interpreter of its jobs."""

    def __init__(self, dock: Emulator, scratch: Path, python: Path) -> None:
        self.dock, self.scratch, self.python = dock, scratch, python
        self.sagemaker = boto3.client("sagemaker", **dock.client_kwargs)
        self.logs = boto3.client("logs", **dock.client_kwargs)
        self.s3 = boto3.client("s3", **dock.client_kwargs)
        self.s3.create_bucket(Bucket=BUCKET)
        for name, source in (("plain", SCRIPT), ("mxnet", "import mxnet\n" + SCRIPT)):
            self.put(f"{name}.tar.gz", packed({"script.py": source.encode()}))
        self.put("model.tar.gz", packed({"model.json": b"{}"}))
        self._number = 0

    def put(self, key: str, content: bytes) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    def start_job(self, source: str) -> str:
        self._number += 1
        name = f"job-{self._number}"
        own = {
            "sagemaker_program": "script.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/{source}.tar.gz",
            "sagemaker_job_name": name,
            "sagemaker_region": "us-east-1",
            "sagemaker_container_log_level": 20,
            "sagemaker_enable_cloudwatch_metrics": False,
        }
        self.sagemaker.create_training_job(
            TrainingJobName=name,
            RoleArn=ROLE,
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
            ResourceConfig={
                "InstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "VolumeSizeInGB": 5,
            },
            StoppingCondition={"MaxRuntimeInSeconds": 600},
            HyperParameters={key: json.dumps(value) for key, value in own.items()},
        )
        return name

    def fit(self, source: str) -> tuple[float, float]:
        """Seconds from the request to the script's first line, and until boto3's waiter returns."""
        began = time.time()
        name = self.start_job(source)
        waiter = self.sagemaker.get_waiter("training_job_completed_or_stopped")
        waiter.wait(TrainingJobName=name)
        ended = time.time()
        found = self.logs.filter_log_events(
            logGroupName="/aws/sagemaker/TrainingJobs",
            logStreamNamePrefix=f"{name}/",
            filterPattern='"first line"',
        )
        return float(found["events"][0]["message"].split()[-1]) - began, ended - began

    def in_service(self) -> float:
        """Seconds from CreateEndpoint until boto3's waiter returns."""
        name = self.configured()
        began = time.time()
        self.bring_up(name)
        took = time.time() - began
        self.sagemaker.delete_endpoint(EndpointName=name)
        return took

    def deploy(self) -> str:
        """The name of an endpoint in service."""
        name = self.configured()
        self.bring_up(name)
        return name

    def bring_up(self, name: str) -> None:
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self.sagemaker.get_waiter("endpoint_in_service").wait(EndpointName=name)

    def configured(self) -> str:
        """The name of a new model, and of a configuration with it."""
        self._number += 1
        name = f"endpoint-{self._number}"
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz",
            "Environment": {
                "SAGEMAKER_PROGRAM": "script.py",
                "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{BUCKET}/plain.tar.gz",
                "SAGEMAKER_REGION": "us-east-1",
            },
        }
        self.sagemaker.create_model(
            ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        return name

    def spawned(self, first: str = "") -> float:
        """Seconds until the jobs' interpreter, started by hand, prints a line."""
        code = f"{first}\nimport time; print(time.time())"
        began = time.time()
        told = subprocess.run(
            [str(self.python), "-c", code], capture_output=True, text=True, check=True
        )
        return float(told.stdout.split()[-1]) - began

    def sdk_fit(self, sdk: Path) -> float:
        """What `estimator.fit` of SDK v2 takes, its own imports apart."""
        program, script = self.scratch / "fit.py", self.scratch / "script.py"
        program.write_text(SDK_FIT)
        script.write_text("print('first line')\n")
        words = [sys.executable, "-m", "sagedock", "run", "--", str(sdk), str(program), str(script)]
        environment = {**os.environ, "AWS_ENDPOINT_URL": self.dock.url}
        environment["SAGEDOCK_HOME"] = str(self.dock.settings.home)
        told = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return float(told.stdout.split()[-1])


def measure_launch(bench: Bench, rounds: int, sdk: Path | None) -> None:
    taken: dict[str, list[float]] = defaultdict(list)
    bench.fit("mxnet")  # the first of everything loads code and warms caches
    bench.in_service()
    for _ in range(rounds):
        taken["spawn"].append(bench.spawned())
        first, whole = bench.fit("plain")
        taken["first line"].append(first)
        taken["fit"].append(whole)
        taken["spawn, import mxnet"].append(bench.spawned("import mxnet"))
        first, whole = bench.fit("mxnet")
        taken["first line, mxnet"].append(first)
        taken["in service"].append(bench.in_service())
        if sdk is not None:
            taken["fit, SDK v2"].append(bench.sdk_fit(sdk))
    print(f"medians of {rounds} rounds, seconds; the ratio is to the floor in brackets")
    for name, floor in (
        ("spawn", None),
        ("first line", "spawn"),
        ("fit", "spawn"),
        ("spawn, import mxnet", None),
        ("first line, mxnet", "spawn, import mxnet"),
        ("in service", "spawn"),
        ("fit, SDK v2", "fit"),
    ):
        if taken[name]:
            report(name, statistics.median(taken[name]), floor, taken)


def report(name: str, median: float, floor: str | None, taken: dict[str, list[float]]) -> None:
    ratio = f"  {median / statistics.median(taken[floor]):6.2f} ({floor})" if floor else ""
    print(f"  {name:<22}{median:8.3f}{ratio}")


def measure_staging(home: Path, scratch: Path, size: int, rounds: int) -> None:
    """A channel's file into a job's folder, as the lifecycle does it, beside a copy and a link."""
    source, target = scratch / "source", home / "target"
    source.write_bytes(os.urandom(size * MIB))
    objects = Objects.at(home)
    objects.put_file(BUCKET, "big", source)
    inside = home / "source"
    inside.write_bytes(source.read_bytes())
    ordinary = os.geteuid() != 0
    how: list[str] = []
    ways: dict[str, Callable[[], Any]] = {
        "staged": lambda: how.append(
            objects.stage(BUCKET, "big", target, reader_is_ordinary_user=ordinary)
        ),
        "copied": lambda: copied(inside, target),
        "hard link": lambda: os.link(inside, target),
    }
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - began)
            target.unlink()
    objects.close()
    print(f"a channel of one file, {size} MiB; milliseconds (sagedock's way here: {how[-1]})")
    for name, seconds in taken.items():
        print(f"  {name:<22}{statistics.median(seconds) * 1000:8.1f}")


def copied(source: Path, target: Path) -> None:
    """The floor of a copy: read and write in the kernel, nothing checked."""
    with source.open("rb") as reading, target.open("wb") as writing:
        left = os.fstat(reading.fileno()).st_size
        while left > 0:
            left -= os.sendfile(writing.fileno(), reading.fileno(), None, left)


def packed(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


if __name__ == "__main__":
    main()
