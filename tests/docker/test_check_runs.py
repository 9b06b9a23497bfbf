"""sagedock check's runs in containers: the same findings as in processes, and those that only a
container shows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from check.cases import (
    DOCKED_CLEAN,
    DOCKED_DEFECTIVE,
    RUN_CLEAN,
    RUN_DEFECTIVE,
    Case,
    built,
)
from journeys.traveller import Traveller
from requests_as_sdks_send import archive, channel, training_request, wait_for
from sagedock.backends.docker import builds
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.labels import CHECK, WORKDIR
from sagedock.check.rules.catalogue import RULES
from sagedock.check.rules.isolation_rules import IsolationRule
from sagedock.check.rules.training_run_rules import ContainerRule
from sagedock.cli import main
from sagedock.domain.images import ImageTable

pytestmark = pytest.mark.docker

PYTHON = "sagedock/python:3.11-cpu"
MY_ALGO = "my-algo"
DOCKED_RULES = [rule for rule in RULES if isinstance(rule, (IsolationRule, ContainerRule))]
ALIKE = (
    "training_data_is_not_where_it_is_read",
    "saved_beside_the_model_folder",
    "history_in_the_working_folder",
    "failure_is_written_and_not_returned",
    "handler_that_only_prints_sigterm",
    "two_hosts_train_two_models",
    "spot_job_begins_again",
    "json_with_another_key",
    "worker_that_ends_itself",
    "trains_and_answers",
    "legacy_trains_and_answers",
    "resumes_from_its_checkpoints",
    "saves_when_it_is_stopped",
)
"""Cases of processes that are run in containers, too. Not those of two hosts, whose scripts are
over in no time: the name of a host that has ended is gone, and the other waits for it."""


@pytest.fixture(scope="module", autouse=True)
def images(engine: Engine) -> None:
    for name in ("python", "mxnet"):
        builds.ensure(engine, ImageTable.builtin().family(name), "cpu", print)


@pytest.fixture
def tag(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """A name for an image; what has it is removed with the test, and no container of it is left."""
    name = f"sagedock-test/{MY_ALGO}-{abs(hash(tmp_path)):x}:1"
    yield name
    left = engine.client.api.containers(all=True, filters={"label": f"{CHECK}={name}"})
    if engine.client.images.list(name):
        engine.client.images.remove(name, force=True)
    assert left == []


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def report(*words: str) -> dict[str, Any]:
    told = check(*words, "--format", "json")
    assert told.exit_code in (0, 1), told.output
    document: dict[str, Any] = json.loads(told.stdout)
    assert "not_run" not in document
    return document


def rules(document: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in document["findings"]}


def docked(case: Case, folder: Path, tag: str) -> list[str]:
    """The words for the case, its image built."""
    words = case.laid_out(folder)
    if (folder / "Dockerfile").exists():
        built((folder / "Dockerfile").read_text(encoding="utf-8"), tag)
    words = [tag if word == MY_ALGO else word for word in words]
    return words if tag in words or "--backend" in words else [*words, "--backend", "docker"]


@pytest.mark.parametrize(
    "case",
    [
        *DOCKED_DEFECTIVE,
        *DOCKED_CLEAN,
        *(c for c in (*RUN_DEFECTIVE, *RUN_CLEAN) if c.name in ALIKE),
    ],
    ids=lambda case: case.name,
)
def test_a_case_shows_in_containers_what_it_shows_elsewhere(
    case: Case, tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = docked(case, tmp_path, tag)
    monkeypatch.chdir(tmp_path)
    found = report(*words)
    assert rules(found) == set(case.head("finds").split()), found["findings"]


@pytest.mark.parametrize("rule", DOCKED_RULES, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(
    rule: IsolationRule | ContainerRule, tmp_path: Path, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in rule.files.items():
        Path(name).write_text(text, encoding="utf-8")
    options = [tag if word == MY_ALGO else word for word in rule.options]
    for text, expected in ((rule.failing, {rule.id}), (rule.passing, set())):
        if rule.language == "dockerfile":
            built(text, tag)
            found = report(*options)
        else:
            Path("train.py").write_text(text, encoding="utf-8")
            found = report("train.py", *options)
        assert rules(found) - {"SD401", "SD501"} == expected, found["findings"]


SCRIPT = """\
import json
import os
import sys


def model_fn(model_dir):
    with open(os.path.join(model_dir, "net.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    try:
        rows = json.loads(data)
    except ValueError:
        rows = []
    return json.dumps([model["epochs"] for row in rows]), "application/json"


if __name__ == "__main__":
    print(sys.argv, os.path.getsize(__file__), flush=True)
    {body}
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net.json"), "w") as file:
        json.dump({{"epochs": sys.argv[2:]}}, file)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("one.json").write_text("[[1, 2]]", encoding="utf-8")
    Path("hp.json").write_text('{"epochs": 3}', encoding="utf-8")
    file = tmp_path / "train.py"
    file.write_text(SCRIPT.format(body="pass"), encoding="utf-8")
    return file


def test_files_beside_opt_ml_are_seen(script: Path) -> None:
    body = 'os.makedirs("/data/empty")\n    open("/data/history.csv", "w").close()'
    script.write_text(SCRIPT.format(body=body), encoding="utf-8")
    (finding,) = report("train.py", "--run", "--backend", "docker")["findings"]
    assert finding["rule"] == "SD403"
    assert finding["message"].endswith(": /data/history.csv")


def test_the_memory_is_that_of_the_instance_type(script: Path) -> None:
    body = "held = [bytes(os.urandom(1)) * (1 << 30) for _ in range(5)]"
    script.write_text(SCRIPT.format(body=body), encoding="utf-8")
    options = ("--run", "--backend", "docker", "--instance-type", "ml.t3.medium")
    (finding,) = report("train.py", *options)["findings"]
    assert finding["rule"] == "SD401"
    assert finding["message"].endswith("killed for memory, at the limit of 4 GiB")


def test_what_is_asked_for_and_not_there_is_named(script: Path) -> None:
    found = report("train.py", "--run", "--backend", "docker", "--network-isolation")
    assert found["findings"] == []
    body = "import urllib.request\n    urllib.request.urlopen('http://data.example.com/a')"
    script.write_text(SCRIPT.format(body=body), encoding="utf-8")
    found = report("train.py", "--run", "--backend", "docker", "--network-isolation")
    (finding,) = (one for one in found["findings"] if one["rule"] == "SD801")
    assert "asks for data.example.com, and has no network" in finding["message"]
    assert (
        finding["line"]
        == script.read_text(encoding="utf-8")
        .splitlines()
        .index("    urllib.request.urlopen('http://data.example.com/a')")
        + 1
    )


def test_who_goes_on_without_a_network_is_only_advised(script: Path) -> None:
    body = (
        "import urllib.request\n    try:\n        urllib.request.urlopen('http://a.example.com/')\n"
        "    except OSError as error:\n        print(error)"
    )
    script.write_text(SCRIPT.format(body=body), encoding="utf-8")
    found = report("train.py", "--run", "--backend", "docker", "--network-isolation")
    assert [(one["rule"], one["level"]) for one in found["findings"]] == [("SD801", "advice")]


def test_a_script_runs_in_the_image_that_is_named(script: Path, tag: str) -> None:
    built(f"FROM {PYTHON}\nRUN pip --version\nENV MINE=yes\n", tag)
    body = 'assert os.environ["MINE"] == "yes"'
    script.write_text(SCRIPT.format(body=body), encoding="utf-8")
    options = ("--hyperparameters", "hp.json", "--request", "one.json", "--ignore", "SD125")
    found = report("train.py", "--image", tag, *options)
    assert found["findings"] == []
    assert found["target"]["trained"]["arguments"] == ["--epochs", "3"]
    looked = {one["rule"] for one in found["checked"] if not one["skipped"]}
    assert {"SD401", "SD409", "SD503"} <= looked


def test_the_second_check_installs_nothing(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAGEDOCK_FRAMEWORKS", str(tmp_path / "frameworks"))
    source = tmp_path / "source"
    source.mkdir()
    wheel(source, "tiny_package")
    (source / "requirements.txt").write_text("./tiny_package-1.0-py3-none-any.whl\n")
    text = SCRIPT.format(body="import tiny_package")
    (source / "train.py").write_text(text, encoding="utf-8")

    assert report(str(source), "--run", "--backend", "docker")["findings"] == []
    (layer,) = (tmp_path / "frameworks" / "layers").glob("*/*/")
    built_as = layer.stat().st_ino
    assert report(str(source), "--run", "--backend", "docker")["findings"] == []

    assert layer.stat().st_ino == built_as
    own = SCRIPT.format(body="import tiny_package; assert 'SAGEDOCK_LAYERS' not in os.environ")
    (source / "train.py").write_text(own, encoding="utf-8")
    alone = ("--run", "--backend", "docker", "--network-isolation")
    assert report(str(source), *alone)["findings"] == []


def wheel(folder: Path, name: str) -> None:
    """With one module, made by hand."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        told = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr(f"{info}/WHEEL", told)
        file.writestr(f"{info}/RECORD", "")


def test_an_image_that_was_never_built_is_named_with_its_command(
    script: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another name for the family's, so that nobody's image has to be removed."""
    known = ImageTable.builtin()
    monkeypatch.setattr(
        type(known.family("python")), "engine_tag", lambda family, device: f"never/{family.name}:1"
    )
    told = check("train.py", "--run", "--backend", "docker")
    assert told.exit_code == 2
    assert "does not have never/python:1 yet" in told.stderr
    assert "sagedock images build python --backend docker" in told.stderr
    assert told.stderr.count("\n") == 1


def test_without_an_engine_it_ends_with_2(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    told = check("train.py", "--run", "--backend", "docker")
    assert told.exit_code == 2
    assert "No Docker engine answers at tcp://127.0.0.1:1" in told.stderr


def test_a_running_emulator_s_containers_stay(
    script: Path,
    engine: Engine,
    traveller: Traveller,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dock, sleeps = traveller, "import time\n\nprint('here', flush=True)\ntime.sleep(300)\n"
    dock.put("code/sleeps.py.tar.gz", archive({"sleeps.py": sleeps}))
    request = training_request("sleeps", dock.bucket, "sleeps.py")
    request["AlgorithmSpecification"]["TrainingImage"] = "sagedock/python"
    dock.sagemaker.create_training_job(**request)
    wait_for(lambda: dock.job_log("sleeps"), lambda log: any("here" in line for line in log))
    (before,) = engine.client.containers.list(filters={"label": "sagedock.job=sleeps"})

    # Others check at the same time, in the same image.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report("train.py", "--backend", "docker", "--request", "one.json")

    (after,) = engine.client.containers.list(filters={"label": "sagedock.job=sleeps"})
    assert after.id == before.id
    left = engine.client.api.containers(all=True, filters={"label": CHECK})
    assert [box for box in left if str(tmp_path) in box["Labels"][WORKDIR]] == []
    dock.sagemaker.stop_training_job(TrainingJobName="sleeps")
    assert dock.ended("sleeps")["TrainingJobStatus"] == "Stopped"


# --- the emulator shows the same ----------------------------------------------------------------


def job_of(case: Case, folder: Path, dock: Traveller, name: str) -> dict[str, Any]:
    """A request for the case's script; the code comes by a channel, as under isolation."""
    case.laid_out(folder)
    text = (folder / "train.py").read_bytes()
    uri = dock.put(f"{name}/sourcedir.tar.gz", archive({"train.py": text}))
    request = training_request(name, dock.bucket, "train.py")
    request["HyperParameters"] |= {
        "sagemaker_submit_directory": json.dumps("/opt/ml/input/data/code/sourcedir.tar.gz")
    }
    request["InputDataConfig"] = [channel(uri.rpartition("/")[0] + "/", "code")]
    request["AlgorithmSpecification"]["TrainingImage"] = "sagedock/python"
    return request


def named(name: str) -> Case:
    return next(case for case in DOCKED_DEFECTIVE if case.name == name)


def test_the_emulator_s_job_has_no_network_either(tmp_path: Path, traveller: Traveller) -> None:
    case = named("weights_from_the_web_under_isolation")
    request = job_of(case, tmp_path, traveller, "isolated")
    traveller.sagemaker.create_training_job(**request, EnableNetworkIsolation=True)
    job = traveller.ended("isolated")
    assert job["TrainingJobStatus"] == "Failed"
    assert "name resolution" in job["FailureReason"] or "not known" in job["FailureReason"]


def test_the_emulator_s_job_ignores_the_script_too(
    tmp_path: Path, tag: str, traveller: Traveller
) -> None:
    case = named("script_for_an_image_without_a_toolkit")
    request = job_of(case, tmp_path, traveller, "ignored")
    built((tmp_path / "Dockerfile").read_text(encoding="utf-8"), tag)
    request["AlgorithmSpecification"]["TrainingImage"] = tag
    traveller.sagemaker.create_training_job(**request)
    job = traveller.ended("ignored")
    assert job["TrainingJobStatus"] == "Completed"
    assert not any("train.py" in line for line in traveller.job_log("ignored"))
