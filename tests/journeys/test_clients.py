"""Clients as they are on users' machines, led by `sagedock run`: both SDKs, boto3, the AWS CLI.

The programs are those of examples/cifar10, which are the tutorial's code; the data is the first
pictures of its sample.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.client_environments import CannotBuild, client_environment
from journeys.traveller import SCRIPT, Traveller
from requests_as_sdks_send import SCRIPTS, legacy_container, source_archive, training_request
from sagedock import Emulator

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cifar10"
sys.path.insert(0, str(EXAMPLE))  # the example's files import one another, as when they are run

import recordio  # noqa: E402

pytestmark = [pytest.mark.sdk, pytest.mark.slow]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, frameworks: Path) -> Iterator[Emulator]:
    """The SDKs ask every 30 s: answers are held longer than by default, so that a job that takes
    seconds costs seconds."""
    home = tmp_path_factory.mktemp("home")
    with Emulator(home=home, frameworks=frameworks, hold_seconds=25) as dock:
        yield dock


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel of 500 pictures, the fewest that the scripts' reader takes, and 500 to validate."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("train.rec", "test.rec"):
        pictures = list(recordio.read_pictures(EXAMPLE / "sample" / name))
        recordio.write_pictures(folder / name, pictures[:500])
    return folder


class Departed:
    """A client under way: `sagedock run -- words`, in a folder of its own."""

    def __init__(self, words: list[str], folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self._out, self._err = folder / "stdout", folder / "stderr"
        settings = {
            "HOME": str(folder),
            "SAGEDOCK_HOME": str(emulator.settings.home),
            "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        }
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sagedock", "run", "--", *words],
                cwd=folder,
                env={**os.environ, **settings},
                stdout=out,
                stderr=err,
            )

    def arrives(self) -> str:
        """What it printed; it has to end well."""
        code = self.process.wait(300)
        out, err = self._out.read_text(), self._err.read_text()
        assert code == 0, out[-2000:] + err[-3000:]
        assert "Traceback" not in err, err[-3000:]
        return out


Station = dict[str, "Departed | CannotBuild"]


@pytest.fixture(scope="module")
def station(
    emulator: Emulator, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Station]:
    """All clients, who set out together: most of their time they sleep between two questions."""
    epoch = ["--data", str(data), "--epochs", "1"]
    here = Path(__file__).parent
    notebook = [str(EXAMPLE / "cifar10.ipynb"), str(EXAMPLE), str(data)]
    journeys = {
        "tutorial v1": ("sdk-v1", "python", str(EXAMPLE / "fit_sdk_v1.py"), *epoch),
        "tutorial v2": ("sdk-v2", "python", str(EXAMPLE / "fit_sdk_v2.py"), *epoch),
        "v2": ("sdk-v2", "python", str(here / "programs" / "sdk_v2.py"), str(SCRIPTS / SCRIPT)),
        "notebook": ("sdk-v2", "python", str(here / "programs" / "notebook.py"), *notebook),
        "cli": ("aws-cli", "aws", str(here / "programs" / "aws_cli.sh")),
    }
    under_way: Station = {}
    for name, (environment, program, *words) in journeys.items():
        folder = tmp_path_factory.mktemp(name.replace(" ", "-"))
        try:
            found = str(client_environment(environment) / program)
        except CannotBuild as reason:
            under_way[name] = reason
            continue
        call = [found, *words] if program == "python" else ["sh", *words, found]
        if name == "cli":
            write_requests(folder)
        under_way[name] = Departed(call, folder, emulator)
    yield under_way
    for client in under_way.values():
        if isinstance(client, Departed) and client.process.poll() is None:
            client.process.kill()
            client.process.wait()


def of(station: Station, name: str) -> Departed:
    client = station[name]
    if isinstance(client, CannotBuild):
        pytest.skip(str(client))
    return client


@pytest.mark.mxnet
def test_the_tutorial_with_sdk_v1(station: Station, emulator: Emulator) -> None:
    told = of(station, "tutorial v1").arrives()
    assert "[Epoch 0] validation: accuracy=" in told
    assert "Completed - Training job completed" in told
    assert "Billable seconds:" in told
    assert told.count(" -> ") == 10
    sagemaker = Traveller(emulator.client_kwargs).sagemaker
    assert sagemaker.list_endpoints(NameContains="sagemaker-mxnet")["Endpoints"] == []


@pytest.mark.mxnet
def test_the_tutorial_with_sdk_v2(station: Station) -> None:
    told = of(station, "tutorial v2").arrives()
    assert "[Epoch 0] validation: accuracy=" in told
    assert "Billable seconds:" in told
    assert told.count(" → ") == 10


def test_sdk_v2_attaches_updates_and_tells_why_a_job_failed(station: Station) -> None:
    last = json.loads(of(station, "v2").arrives().splitlines()[-1])
    assert last["attached"] is True
    assert last["answers"] == [{"word": "novel", "got": [1]}] * 2
    assert last["another_config"] is True
    assert last["error"] == "UnexpectedStatusException"
    assert "ExecuteUserScriptError" in last["reason"]
    assert last["tracebacks"] == []


@pytest.mark.mxnet
def test_the_notebook_runs_cell_by_cell(station: Station) -> None:
    told = of(station, "notebook").arrives()
    assert "Completed s3://" in told
    assert told.count(" → ") == 10


def test_the_aws_cli_from_data_to_an_answer(station: Station) -> None:
    client = of(station, "cli")
    told = client.arrives()
    assert told.count("upload: in/a.txt") == 1, "a second sync has nothing to upload"
    assert "line 1 loss=0.50" in told
    answer = json.loads((client.folder / "answer.json").read_text())
    assert answer == {"word": "hello", "got": [1, 2]}
    assert '\n"v"\n' in told


def write_requests(folder: Path) -> None:
    """Files that programs/aws_cli.sh names."""
    (folder / "in").mkdir()
    (folder / "in" / "a.txt").write_text("a")
    (folder / "in" / "big.bin").write_bytes(os.urandom(9 * 1024 * 1024))
    (folder / "code.tar.gz").write_bytes(source_archive("legacy_story.py"))
    (folder / "body.json").write_text("[1, 2]")
    job = training_request("typed", "cli", "legacy_story.py", {"lines": 2})
    job["HyperParameters"]["sagemaker_submit_directory"] = '"s3://cli/code.tar.gz"'
    (folder / "job.json").write_text(json.dumps(job))
    container = legacy_container("s3://cli/out/typed/output/model.tar.gz", "cli", "legacy_story.py")
    container["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"] = "s3://cli/code.tar.gz"
    (folder / "container.json").write_text(json.dumps(container))
