"""Cases whose defect only a real run shows: trained and served by the process backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from check.cases import DOCKED_CLEAN, RUN_CLEAN, RUN_DEFECTIVE, Case, found_at_last
from requests_as_sdks_send import archive, training_request, wait_for
from sagedock import Emulator
from sagedock.cli import main


def report(case: Case, folder: Path, frameworks: Path) -> dict[str, Any]:
    words = case.laid_out(folder)
    told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
        main, ["check", *words, "--format", "json"]
    )
    assert told.exit_code in (0, 1), told.stderr
    document: dict[str, Any] = json.loads(told.stdout)
    return document


@pytest.mark.parametrize("case", RUN_DEFECTIVE, ids=lambda case: case.name)
def test_a_defect_that_a_run_shows_is_found_by_its_rule_and_by_no_other(
    case: Case, tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = set(case.head("finds").split())

    def look() -> set[str]:
        return {found["rule"] for found in report(case, tmp_path, frameworks)["findings"]}

    assert found_at_last(wanted, look) == wanted


@pytest.mark.parametrize("case", RUN_CLEAN, ids=lambda case: case.name)
def test_a_clean_run_yields_nothing(
    case: Case, tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(case, tmp_path, frameworks)["findings"] == []


def test_user_data_is_not_touched_and_nothing_stays(
    tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(c for c in RUN_DEFECTIVE if c.name == "training_data_is_not_where_it_is_read")
    monkeypatch.chdir(tmp_path)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    report(case, tmp_path, frameworks)
    assert list(temporary.iterdir()) == []
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"digits.csv"}


def test_a_finding_of_a_run_shows_the_line_that_raised(
    tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(c for c in RUN_DEFECTIVE if c.name == "json_with_another_key")
    monkeypatch.chdir(tmp_path)
    (finding,) = report(case, tmp_path, frameworks)["findings"]
    line = (tmp_path / "train.py").read_text(encoding="utf-8").splitlines()[finding["line"] - 1]
    assert finding["file"] == "train.py"
    assert '["instances"]' in line
    assert "TypeError" in finding["message"]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("raise SystemExit('there are no rows')", "there are no rows"),
        ("argparse.ArgumentParser().parse_args(['--rows', '3'])",
         "train.py: error: unrecognized arguments: --rows 3"),
    ],
)  # fmt: skip
def test_a_training_that_fails_tells_what_it_printed_last(
    line: str, cause: str, tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"import argparse\nimport os\n\nprint(argparse, os.environ['SM_MODEL_DIR'])\n{line}\n"
    Path("train.py").write_text(text, encoding="utf-8")
    told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
        main, ["check", "train.py", "--run", "--format", "json"]
    )
    (finding,) = json.loads(told.stdout)["findings"]
    assert finding["message"] == f"the training ends with exit code 1: {cause}"


def test_what_the_static_rules_refuse_is_not_run(
    tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("import os\n\nlost(os.environ['SM_MODEL_DIR'])\n", encoding="utf-8")
    told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
        main, ["check", "train.py", "--run", "--format", "json"]
    )
    document = json.loads(told.stdout)
    assert [finding["rule"] for finding in document["findings"]] == ["SD133"]
    skipped = {looked["rule"]: looked["skipped"] for looked in document["checked"]}
    assert skipped["SD401"] == "the static rules found errors: mend these first"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("import torch", "no image here has torch"),
        ("open('/opt/ml/input/config/resourceconfig.json')", "the script spells /opt/ml"),
        ("open('/opt/ml/nowhere')", "the script spells /opt/ml"),
    ],
)
def test_what_cannot_be_run_here_is_no_success_and_no_finding(
    line: str, why: str, tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"import os\n\nprint(os.environ['SM_MODEL_DIR'])\n{line}\n"
    Path("train.py").write_text(text, encoding="utf-8")
    told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
        main, ["check", "train.py", "--run"]
    )
    assert told.exit_code == 2, told.output
    assert f"Not run: train.py: {why}" in told.stdout
    if "torch" in line:  # the quickest of them, in the formats of machines
        for form, said in (
            ("junit", "<error "),
            ("github", "::error::"),
            ("json", '"not_run"'),
            ("sarif", '"executionSuccessful": false'),
        ):
            told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
                main, ["check", "train.py", "--run", "--format", form]
            )
            assert said in told.stdout


def test_what_cannot_be_cut_off_here_is_said_and_run_all_the_same(
    tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = (one for one in DOCKED_CLEAN if one.name == "gets_along_without_a_network")
    words = [word for word in case.laid_out(tmp_path) if word not in ("--backend", "docker")]
    monkeypatch.chdir(tmp_path)
    run = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)})

    told = run.invoke(main, ["check", *words, "--format", "json"])

    assert told.exit_code == 2, told.output
    report = json.loads(told.stdout)
    assert report["findings"] == []
    assert "SD801 needs --backend docker" in report["not_run"][0]
    looked = {one["rule"]: one["skipped"] for one in report["checked"]}
    assert looked["SD401"] == looked["SD503"] == ""
    assert run.invoke(main, ["check", *words, "--ignore", "SD801"]).exit_code == 0


def test_json_tells_what_the_script_was_given(
    tmp_path: Path, frameworks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = (c for c in RUN_DEFECTIVE if c.name == "training_data_is_not_where_it_is_read")
    monkeypatch.chdir(tmp_path)
    words = case.laid_out(tmp_path)
    told = CliRunner(env={"SAGEDOCK_FRAMEWORKS": str(frameworks)}).invoke(
        main, ["check", *words, "--format", "json"]
    )
    given = json.loads(told.stdout)["target"]["trained"]
    assert given["arguments"] == ["--epochs", "3"]
    assert given["hyperparameters"]["epochs"] == "3"
    assert given["hyperparameters"]["sagemaker_program"] == '"train.py"'


def test_a_check_leaves_a_running_emulator_as_it_is(
    tmp_path: Path, emulator: Emulator, client: Any, frameworks: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    s3, sagemaker = client("s3"), client("sagemaker")
    s3.create_bucket(Bucket="kept")
    sleeps = "import time\n\nprint('sleeping', flush=True)\ntime.sleep(120)\n"
    s3.put_object(Bucket="kept", Key="code/s.py.tar.gz", Body=archive({"s.py": sleeps}))
    request = training_request("sleeper", "kept", "s.py")
    request["AlgorithmSpecification"]["TrainingImage"] = "sagedock/python"
    sagemaker.create_training_job(**request)
    state = wait_for(lambda: sagemaker.describe_training_job(TrainingJobName="sleeper"),
                     lambda job: job["SecondaryStatus"] == "Training")  # fmt: skip
    case = next(c for c in RUN_DEFECTIVE if c.name == "json_with_another_key")
    monkeypatch.chdir(tmp_path)

    report(case, tmp_path, frameworks)

    after = sagemaker.describe_training_job(TrainingJobName="sleeper")
    assert after["SecondaryStatusTransitions"] == state["SecondaryStatusTransitions"]
    jobs = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert [job["TrainingJobName"] for job in jobs] == ["sleeper"]
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["kept"]
