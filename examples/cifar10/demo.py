"""The whole journey of the CIFAR-10 tutorial on this machine: `make demo`.

A boto3 client as it is, against an emulator of its own: data to S3, a training job under the legacy
contract on the tutorial's own image and instance type, an endpoint, ten pictures, clean-up, and a
picture of what came out. Everything it makes lies in .sagedock-demo and demo-out.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
import fit_boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError
from data import CLASSES, PICTURES, DataError, Dataset, choose
from demo_screen import Screen, Steps
from epoch_table import EpochTable
from picture_grid import Guess, draw_grid

from sagedock import Emulator
from sagedock.errors import SagedockError

ROOT = Path(__file__).resolve().parents[2]
ENDED_BADLY, INTERRUPTED = 1, 130
EPOCHS_AT_MOST = 1000  # the demo ends by the clock


class DemoFailed(Exception):
    """What went wrong, for the person who watches."""


class Demo:
    """The client's side: AWS clients that count their calls, and the steps they make."""

    def __init__(self, screen: Screen, options: argparse.Namespace, dock: Emulator) -> None:
        self.screen = screen
        self.options = options
        self.steps = Steps(screen, total=6)
        self.calls: Counter[str] = Counter()
        self.name = time.strftime("cifar10-%Y-%m-%d-%H-%M-%S")
        session = boto3.session.Session()
        session.events.register("after-call", self._count)
        where: Any = dock.client_kwargs
        self.s3 = session.client("s3", **where)
        self.sts = session.client("sts", **where)
        self.logs = session.client("logs", **where)
        self.sagemaker = session.client("sagemaker", **where)
        self.runtime = session.client("sagemaker-runtime", **where)

    def _count(self, model: Any, **_: Any) -> None:
        self.calls[f"{model.service_model.service_id} {model.name}"] += 1

    def run(self) -> dict[str, Any]:
        """All steps; returns the summary. Raises DemoFailed, or whatever a client raises."""
        chosen = choose(full=self.options.full, small=self.options.sample)
        data, code = self.upload(chosen)
        job, table = self.train(data, code)
        self.deploy(job, code)
        guesses, milliseconds = self.ask()
        self.clean_up()
        last = table.epochs[-1]
        picture = self.draw(guesses, last.validation)
        return {
            "job": self.name,
            "data": chosen.origin,
            "image": fit_boto3.TRAINING_IMAGE,
            "instance_type": fit_boto3.TRAINING_INSTANCE,
            "model": job["ModelArtifacts"]["S3ModelArtifacts"],
            "epochs": len(table.epochs),
            "training_accuracy": last.training,
            "validation_accuracy": last.validation,
            "right": sum(guess.is_right for guess in guesses),
            "predictions": [
                {"truth": g.truth, "guess": g.guess, "confidence": round(g.confidence, 4)}
                for g in guesses
            ],
            "invoke_milliseconds": milliseconds,
            "seconds": self.steps.seconds,
            "calls": dict(sorted(self.calls.items())),
            "picture": str(picture),
        }

    def upload(self, chosen: Dataset) -> tuple[str, str]:
        """The channel and the program, in S3."""
        train, test = chosen.counts()
        with self.steps.step("upload", "Data and code to S3"):
            bucket = fit_boto3.make_bucket(self.sts, self.s3)
            with tempfile.TemporaryDirectory() as folder:
                channel = chosen.copy_to(Path(folder) / "channel")
                data = fit_boto3.upload_data(self.s3, channel, bucket, f"{self.name}/data")
            code = fit_boto3.upload_code(self.s3, fit_boto3.PROGRAM, bucket, self.name)
            self.screen.note(f"{train:,} training and {test:,} test pictures from {chosen.origin}")
            self.screen.note(f"→ {data}")
        if not chosen.full:
            self.screen.note("that is the sample; the full set gives a better net: see the README")
        return data, code

    def train(self, data: str, code: str) -> tuple[Any, EpochTable]:
        """A training job, its log followed to the end; returns its description and its epochs."""
        table = EpochTable(self.screen)
        budget = self.options.seconds
        with self.steps.step("training", f"CreateTrainingJob, {budget:.0f} s of training"):
            self.screen.note(f"image {fit_boto3.TRAINING_IMAGE}")
            self.screen.note(f"on {fit_boto3.TRAINING_INSTANCE}, as the tutorial asks")
            hyperparameters = {"seconds": budget, "epochs": EPOCHS_AT_MOST}
            fit_boto3.start_training(self.sagemaker, self.name, data, code, hyperparameters)
            log = self._follow(table)
            job = self.sagemaker.describe_training_job(TrainingJobName=self.name)
            table.close()
        if job["TrainingJobStatus"] != "Completed" or not table.epochs:
            for line in log[-20:]:
                self.screen.note(line)
            reason = job.get("FailureReason") or f"it is {job['TrainingJobStatus']}"
            raise DemoFailed(f"Training job {self.name} did not complete: {reason}")
        self.screen.note(_phases(job["SecondaryStatusTransitions"]))
        return job, table

    def _follow(self, table: EpochTable) -> list[str]:
        """Hand every log line to the table until the job has ended; returns all lines."""
        follower = fit_boto3.LogFollower(self.logs, self.name)
        ended = _Waiting(
            self.sagemaker.get_waiter("training_job_completed_or_stopped"),
            TrainingJobName=self.name,
        )
        began, log = time.monotonic(), []
        while True:
            is_last = not ended.is_alive()
            for line in follower.new_lines():
                log.append(line)
                table.feed(line)
            if is_last:
                return log
            self.screen.live(
                self.screen.style(f"      … {time.monotonic() - began:3.0f} s", "faint")
            )
            ended.join(0.5)

    def deploy(self, job: Any, code: str) -> None:
        """A model, an endpoint configuration, an endpoint in service."""
        artifacts = job["ModelArtifacts"]["S3ModelArtifacts"]
        with self.steps.step("deployment", "CreateModel, CreateEndpointConfig, CreateEndpoint"):
            self.screen.note(artifacts)
            fit_boto3.deploy(self.sagemaker, self.name, artifacts, code)
            try:
                self.sagemaker.get_waiter("endpoint_in_service").wait(
                    EndpointName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 600}
                )
            except WaiterError as error:
                found = self.sagemaker.describe_endpoint(EndpointName=self.name)
                raise DemoFailed(f"{self.name}: {found.get('FailureReason', error)}") from error
            self.screen.note("InService")

    def ask(self) -> tuple[list[Guess], float]:
        """What the endpoint says of ten pictures, and the median of its times in milliseconds."""
        guesses, times = [], []
        with self.steps.step("predictions", "InvokeEndpoint, ten pictures"):
            for truth in CLASSES:
                path = PICTURES / f"{truth}.png"
                began = time.monotonic()
                found = fit_boto3.predict(self.runtime, self.name, path)
                times.append(1000 * (time.monotonic() - began))
                guesses.append(Guess(path, truth, found["class"], found["confidence"]))
                self._show(guesses[-1])
        return guesses, round(sorted(times)[len(times) // 2], 1)

    def _show(self, guess: Guess) -> None:
        colour = "green" if guess.is_right else "red"
        mark = self.screen.style("✓" if guess.is_right else "✗", colour)
        bar = self.screen.style(self.screen.bar(guess.confidence), colour)
        self.screen.line(
            f"      {guess.truth:>10}  →  {guess.guess:<10} {mark} {guess.confidence:6.1%}  {bar}"
        )

    def clean_up(self) -> None:
        """Nothing is left but the job, its model in S3 and its log."""
        with self.steps.step("clean-up", "DeleteEndpoint, DeleteEndpointConfig, DeleteModel"):
            fit_boto3.delete(self.sagemaker, self.name)

    def draw(self, guesses: list[Guess], validation: float) -> Path:
        """The ten pictures with what was said of them."""
        right = sum(guess.is_right for guess in guesses)
        subtitle = (
            f"{right} of {len(guesses)} right  ·  validation accuracy {validation:.1%}"
            f"  ·  trained for {self.options.seconds:.0f} s on this machine"
        )
        with self.steps.step("picture", "Drawing what came out"):
            target: Path = self.options.out / "predictions.png"
            draw_grid(guesses, "CIFAR-10, asked through an endpoint", subtitle, target)
        return target


class _Waiting(threading.Thread):
    """A boto3 waiter in the background, so that the log can be followed meanwhile.

    Its error is not kept: whoever waited asks for the job's description next.
    """

    def __init__(self, waiter: Any, **request: str) -> None:
        super().__init__(daemon=True)
        self._waiter, self._request = waiter, request
        self.start()

    def run(self) -> None:
        pace = {"Delay": 1, "MaxAttempts": 24 * 60 * 60}
        try:
            self._waiter.wait(WaiterConfig=pace, **self._request)
        except Exception as error:
            logging.getLogger("demo").debug("the waiter ended: %s", error)


def _phases(transitions: Any) -> str:
    """SecondaryStatusTransitions as one line: Starting 1.2 s → Downloading 0.1 s → …"""
    spans = [
        f"{one['Status']} {(one['EndTime'] - one['StartTime']).total_seconds():.1f} s"
        for one in transitions
        if "EndTime" in one and one["Status"] not in ("Completed", "Failed", "Stopped")
    ]
    return " → ".join(spans)


def tell(screen: Screen, summary: dict[str, Any], home: Path) -> None:
    """What really happened, and what to try next."""
    calls = Counter(summary["calls"])
    screen.line()
    screen.line(
        screen.style(
            f"{summary['right']} of {len(summary['predictions'])} pictures right,"
            f" validation accuracy {summary['validation_accuracy']:.1%}",
            "bold",
            "green",
        )
    )
    screen.line(f"  picture   {_short(Path(summary['picture']))}")
    screen.line(f"  job       {summary['job']}, {summary['epochs']} epochs")
    screen.line(f"  model     {summary['model']}")
    screen.line(
        "  time      "
        + " · ".join(f"{name} {seconds:.1f} s" for name, seconds in summary["seconds"].items())
    )
    screen.line(
        f"  answers   {summary['invoke_milliseconds']} ms (median of ten, with the picture's JSON)"
    )
    screen.line(f"  calls     {sum(calls.values())} to AWS's API, all answered here:")
    services: dict[str, list[str]] = {}
    for call, count in calls.items():
        service, operation = call.rsplit(" ", 1)
        services.setdefault(service, []).append(operation + (f" ×{count}" if count > 1 else ""))
    for service, operations in services.items():
        screen.line(screen.style(f"            {service}: {', '.join(operations)}", "faint"))
    screen.line()
    screen.line("Next")
    # `make demo` runs without an activated environment: name the program where it lies.
    here = Path(sys.executable).parent / "sagedock"
    program = "sagedock" if shutil.which("sagedock") else _short(here)
    for command, what in (
        ("make demo ARGS='--seconds 300'", "a better net"),
        (
            f"{program} serve --home {_short(home)}",
            "the emulator alone; the job and its log are there",
        ),
        (f"{program} run -- python YOUR_SCRIPT.py", "your own client, unchanged"),
    ):
        screen.line(f"  {command:<48} {screen.style(what, 'faint')}")


def _short(path: Path) -> str:
    """Relative to where the user stands, where that is shorter."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="CIFAR-10 from data to predictions, on your machine."
    )
    parser.add_argument("--seconds", type=float, default=75, help="training budget (%(default)s)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="the full set, or fail")
    which.add_argument("--sample", action="store_true", help="the 6,000 pictures in the repository")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "demo-out", help="folder for the picture"
    )
    parser.add_argument(
        "--home", type=Path, default=ROOT / ".sagedock-demo", help="emulator's state"
    )
    parser.add_argument(
        "--backend",
        choices=["process", "docker"],
        default="process",
        help="where user code runs: processes start sooner, and need no engine and no base image",
    )
    parser.add_argument(
        "--json", action="store_true", help="the summary as JSON on stdout, the rest on stderr"
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 when all of it worked."""
    options = arguments(argv)
    screen = Screen(sys.stderr if options.json else sys.stdout)
    logging.basicConfig(level=logging.WARNING, format="      %(message)s")
    screen.line(screen.style("CIFAR-10 on this machine: no AWS account, no cloud", "bold"))
    try:
        with Emulator(home=options.home, backend=options.backend) as dock:
            screen.note(f"emulator at {dock.url}, state in {_short(options.home)}")
            summary = Demo(screen, options, dock).run()
    except KeyboardInterrupt:
        screen.line("Interrupted; the job, the endpoint and the emulator are stopped.")
        return INTERRUPTED
    except (DemoFailed, DataError, SagedockError, ClientError, BotoCoreError) as error:
        screen.line(screen.style(f"demo: {error}", "red"))
        return ENDED_BADLY
    if options.json:
        print(json.dumps(summary, indent=2))
    tell(screen, summary, options.home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
