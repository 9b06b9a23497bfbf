"""pytest with the plugin, as a project uses it: in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    return json.dumps([sum(row) for row in rows]), "application/json"


if __name__ == "__main__":
    print(sorted(os.listdir(os.environ["SM_CHANNEL_TRAINING"])), sys.argv)
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net.json"), "w") as file:
        json.dump({}, file)
"""
CONTRACT = """\
[check]
path = "src"
requests = ["rows.json"]

[check.channels]
training = "data"

[check.hyperparameters]
epochs = 1
"""
TESTS = """\
import json


def test_the_model_has_its_file(trained_model, sagedock):
    assert trained_model.job["TrainingJobStatus"] == "Completed"
    assert trained_model.uri.startswith("s3://")


def test_the_endpoint_adds(endpoint, sagemaker_client):
    assert json.loads(endpoint.invoke(b"[[1, 2], [3, 4]]")) == [3, 7]
    told = sagemaker_client.describe_endpoint(EndpointName=endpoint.name)
    assert told["EndpointStatus"] == "InService"
"""

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "src/train.py": SCRIPT,
        "data/a.csv": "1,2\n",
        "rows.json": "[[1, 2]]\n",
        "sagedock.toml": CONTRACT,
        "test_model.py": TESTS,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(project: Path, frameworks: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAGEDOCK_FRAMEWORKS": str(frameworks)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", *words]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300
    )


def test_a_contract_s_items_are_its_rules_and_pass(project: Path, frameworks: Path) -> None:
    told = run(project, frameworks, "--sagedock-contract", "sagedock.toml", "-vv", "-k", "sagedock")
    assert told.returncode == 0, told.stdout
    assert "sagedock.toml::SD402 empty-model PASSED" in told.stdout
    assert "sagedock.toml::SD503 request-fails PASSED" in told.stdout
    assert "needs --instance-count" in told.stdout


def test_a_broken_rule_is_a_failed_item_with_the_finding(project: Path, frameworks: Path) -> None:
    script = project / "src" / "train.py"
    script.write_text(SCRIPT.replace("sum(row)", "lost(row)"), encoding="utf-8")
    told = run(project, frameworks, "--sagedock-contract", "sagedock.toml", "-k", "sagedock")
    assert told.returncode == 1
    assert "error[SD133]" in told.stdout
    assert "1 failed" in told.stdout


def test_workers_of_xdist_check_once(project: Path, frameworks: Path) -> None:
    pytest.importorskip("xdist")
    runs = project / "runs"
    counts = f"with open({str(runs)!r}, 'a') as file:\n        file.write('x')\n    "
    script = project / "src" / "train.py"
    script.write_text(SCRIPT.replace("print(sorted", f"{counts}print(sorted"), encoding="utf-8")
    words = ("--sagedock-contract", "sagedock.toml", "-k", "sagedock", "-vv")

    told = run(project, frameworks, *words, "-n", "3", "-p", "xdist")

    assert told.returncode == 0, told.stdout
    assert runs.read_text(encoding="utf-8") == "x"
    assert len(set(re.findall(r"\[gw\d\]", told.stdout))) > 1


def test_what_cannot_be_checked_is_an_error_of_every_worker(
    project: Path, frameworks: Path
) -> None:
    pytest.importorskip("xdist")
    (project / "rows.json").unlink()
    words = ("--sagedock-contract", "sagedock.toml", "-k", "sagedock", "-n", "2", "-p", "xdist")
    told = run(project, frameworks, *words)
    assert told.returncode == 1
    assert "rows.json cannot be read" in told.stdout
    assert " passed" not in told.stdout


def test_what_cannot_be_run_fails_an_item(project: Path, frameworks: Path) -> None:
    script = project / "src" / "train.py"
    script.write_text(f"import torch\n{SCRIPT}", encoding="utf-8")
    told = run(project, frameworks, "--sagedock-contract", "sagedock.toml", "-k", "sagedock")
    assert told.returncode == 1
    assert "no image here has torch" in told.stdout


def test_fixtures_train_and_deploy_the_project(project: Path, frameworks: Path) -> None:
    told = run(project, frameworks, "test_model.py")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "2 passed" in told.stdout


def test_a_contract_without_a_target_is_an_error_of_usage(project: Path, frameworks: Path) -> None:
    (project / "sagedock.toml").write_text("[check]\nignore = []\n", encoding="utf-8")
    told = run(project, frameworks, "--sagedock-contract", "sagedock.toml")
    assert told.returncode == pytest.ExitCode.USAGE_ERROR
    assert "declares no target" in told.stderr + told.stdout


def test_pytest_without_the_option_imports_nothing_of_sagedock(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import sys\n\n\ndef test_one():\n    assert 'sagedock.cli' not in sys.modules\n"
        "    assert 'sagedock.check' not in sys.modules\n    assert 'fastapi' not in sys.modules\n",
        encoding="utf-8",
    )
    told = run(tmp_path, tmp_path)
    assert told.returncode == 0, told.stdout
