"""sagedock check as a user meets it: text, formats, exit codes, choice of rules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from docs.pages import fences
from sagedock.check.findings import Report
from sagedock.check.reports.report import text
from sagedock.cli import main

UNTYPED = """\
import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", default=3)
args = parser.parse_args()
for epoch in range(args.epochs):
    print(epoch, os.environ["SM_MODEL_DIR"])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text(UNTYPED, encoding="utf-8")
    return file


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, words)])


def test_a_finding_shows_its_line_what_the_cloud_says_and_the_fix(script: Path) -> None:
    told = run(script)
    lines = told.stdout.splitlines()
    assert told.exit_code == 1
    assert lines[0].startswith(f"{script.as_posix()}:7:20: error[SD123] `--epochs` has no type")
    assert lines[1].index("args.epochs") == lines[2].index("^")
    assert "TypeError" in told.stdout
    assert "Add `type=int`" in told.stdout


def test_a_clean_script_ends_with_0_and_says_what_was_looked_at(script: Path) -> None:
    script.write_text(UNTYPED.replace("default=3", "type=int"), encoding="utf-8")
    told = run(script)
    assert told.exit_code == 0
    assert told.stdout.startswith("No findings: ")


def test_what_cannot_be_checked_ends_with_2_and_a_sentence(tmp_path: Path) -> None:
    for words in (
        [tmp_path / "none.py"],
        [tmp_path],
        [],
        ["--explain", "SD999"],
        [__file__, "--framework-version", "1.2.9"],
        [__file__, "--instance-type", "large"],
        [__file__, "--select", "XY1"],
        [__file__, "--entry-point", "train.py"],
    ):
        told = run(*words)
        assert told.exit_code == 2, words
        assert told.stderr.startswith("sagedock: ")
        assert told.stdout == ""


def test_json_is_one_object_with_findings_checked_and_target(script: Path) -> None:
    told = json.loads(run(script, "--format", "json").stdout)
    assert set(told) == {"findings", "checked", "target"}
    (finding,) = told["findings"]
    assert set(finding) == {
        *("rule", "name", "level", "file", "line", "column", "message", "cloud", "fix", "url")
    }
    skipped = {looked["rule"]: looked["skipped"] for looked in told["checked"]}
    assert skipped["SD128"] == "needs --channel, or the job's request"
    assert skipped["SD123"] == ""
    assert told["target"]["contracts"] == ["script"]


def test_github_gets_one_command_a_finding(script: Path) -> None:
    told = run(script, "--format", "github").stdout.splitlines()
    assert len(told) == 1
    assert told[0].startswith("::error file=")
    assert ",line=7,col=20,title=SD123 argument-as-number::" in told[0]


def test_sarif_names_rule_and_place(script: Path) -> None:
    (run_,) = json.loads(run(script, "--format", "sarif").stdout)["runs"]
    (result,) = run_["results"]
    assert run_["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "SD123"
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 7, "startColumn": 20}


def test_sarif_says_which_rules_did_not_look(script: Path) -> None:
    (run_,) = json.loads(run(script, "--format", "sarif").stdout)["runs"]
    (invocation,) = run_["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (True, 1)
    told = {
        note["associatedRule"]["id"]: note["message"]["text"]
        for note in invocation["toolExecutionNotifications"]
    }
    assert told["SD128"].endswith("train.py: needs --channel, or the job's request")
    assert "SD123" not in told


def test_rules_are_selected_ignored_and_downgraded(script: Path) -> None:
    assert run(script, "--ignore", "SD123").exit_code == 0
    assert run(script, "--select", "SD10,SD13").exit_code == 0
    downgraded = run(script, "--warn", "SD12")
    assert downgraded.exit_code == 1
    assert "warning[SD123]" in downgraded.stdout


def test_a_comment_in_the_line_allows_one_rule(script: Path) -> None:
    used = "range(args.epochs):"
    script.write_text(UNTYPED.replace(used, f"{used}  # noqa: SD123"), encoding="utf-8")
    assert run(script).exit_code == 0
    script.write_text(UNTYPED.replace(used, f"{used}  # noqa: E501"), encoding="utf-8")
    assert run(script).exit_code == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")
def test_a_project_s_table_is_read_from_the_nearest_file(script: Path) -> None:
    project = script.parent / "pyproject.toml"
    project.write_text('[tool.sagedock.check]\nignore = ["SD123"]\n', encoding="utf-8")
    assert run(script).exit_code == 0
    nearer = script.parent / "sagedock.toml"
    nearer.write_text('[check]\nselect = ["SD12"]\n', encoding="utf-8")
    assert run(script).exit_code == 1
    nearer.write_text("[check]\nselct = []\n", encoding="utf-8")
    assert run(script).exit_code == 2


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="3.11 reads the table")
def test_python_3_10_says_that_it_cannot_read_the_table(script: Path) -> None:
    (script.parent / "sagedock.toml").write_text("[check]\n", encoding="utf-8")
    told = run(script)
    assert told.exit_code == 2
    assert "Python 3.11" in told.stderr


def test_a_folder_s_entry_point_brings_what_it_imports(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text("from parts import loop\n\nloop.run()\n", encoding="utf-8")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").touch()
    (tmp_path / "parts" / "loop.py").write_text("def run():\n    lost()\n", encoding="utf-8")
    (tmp_path / "unused.py").write_text("lost()\n", encoding="utf-8")
    told = json.loads(run(tmp_path, "--entry-point", "start.py", "--format", "json").stdout)
    assert [(f["rule"], Path(f["file"]).name) for f in told["findings"]] == [("SD133", "loop.py")]


def test_a_program_of_a_container_needs_no_py_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("#!/usr/bin/env python3\nlost()\n", encoding="utf-8")
    (tmp_path / "serve").write_text("#!/bin/sh\nexec python serve.py\n", encoding="utf-8")
    told = run(tmp_path / "train", "--format", "json")
    assert [finding["rule"] for finding in json.loads(told.stdout)["findings"]] == ["SD133"]
    assert "no Python file" in run(tmp_path / "serve").stderr


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a page's command reads sagedock.toml")
def test_the_outputs_on_the_page_are_the_real_ones(tmp_path: Path, frameworks: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "check.md"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SAGEDOCK_FRAMEWORKS": str(frameworks)}
    last = ""
    for fence in fences(page):
        if "file" in fence.notes:
            (tmp_path / fence.notes["file"]).write_text(fence.text, encoding="utf-8")
        elif fence.language == "sh" and not any(w in fence.text for w in ("examples/", "docker")):
            command = ["bash", "-c", fence.text.replace("|| echo", "|| :")]
            ended = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True,
                text=True, check=True,
            )  # fmt: skip
            last = ended.stdout
        elif fence.language == "text":
            assert fence.text == last


def test_explain_prints_a_rule_s_page() -> None:
    told = run("--explain", "sd101")
    assert told.exit_code == 0
    assert told.stdout.startswith("# SD101: nothing-to-call")


HEAVY = (
    "fastapi", "botocore", "docker", "tarfile", "tomllib", "xml",
    "sagedock.aws", "sagedock.backends", "sagedock.domain", "sagedock.lifecycle",
    "sagedock.check.rules.request_rules", "sagedock.check.rules.hosting_run_rules",
)  # fmt: skip


def test_a_check_of_a_script_runs_nothing_and_loads_what_it_needs(
    script: Path, tmp_path: Path
) -> None:
    script.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n", encoding="utf-8")
    code = (
        "import sys; from sagedock.cli.check import command;"
        f"command([{str(script)!r}], standalone_mode=False)"
    )
    seen = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    spy = f"import sys\ntry:\n    exec({code!r})\nfinally:\n    {seen}"
    told = subprocess.run([sys.executable, "-c", spy], capture_output=True, text=True, check=False)
    assert told.stdout.splitlines()[-1] == "[]"
    assert not (tmp_path / "ran").exists()


JOB = """\
{
  "EndpointConfigName": "digits",
  "ProductionVariants": [
    {"VariantName": "a", "ModelName": "digits", "InstanceType": "m5.large",
     "InitialInstanceCount": 1}
  ]
}
"""


def test_a_request_s_finding_has_a_pointer_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(JOB, encoding="utf-8")
    told = json.loads(run("--job", tmp_path / "config.json", "--format", "json").stdout)
    (finding,) = told["findings"]
    assert finding["pointer"] == "/ProductionVariants/0/InstanceType"
    assert (finding["line"], finding["rule"]) == (4, "SD207")
    assert list(told["target"]["requests"].values()) == ["CreateEndpointConfig"]


def test_a_body_that_fits_no_operation_needs_its_name(tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    file.write_text('{"ResourceArn": "x", "Tags": []}', encoding="utf-8")
    assert "--operation" in run("--job", file).stderr
    told = run("--job", file, "--operation", "AddTags", "--format", "json")
    assert {finding["rule"] for finding in json.loads(told.stdout)["findings"]} == {"SD204"}
    assert run("--job", file, "--operation", "AddTag").exit_code == 2


def test_what_is_no_json_ends_with_2_and_its_place(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text('{\n  "A": 1,\n}', encoding="utf-8")
    told = run("--job", file)
    assert told.exit_code == 2
    assert f"{file.as_posix()}:3:1:" in told.stderr or f"{file.as_posix()}:2:" in told.stderr


def test_junit_has_one_case_a_rule(script: Path) -> None:
    suite = ElementTree.fromstring(run(script, "--format", "junit").stdout)[0]
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["SD123 argument-as-number"]
    assert suite.get("failures") == "1"
    assert int(suite.get("tests") or 0) == len(suite)
    assert any(case.find("skipped") is not None for case in suite)


def test_advice_changes_neither_exit_code_nor_failures(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / ".DS_Store").touch()
    (folder / "weights.bin").touch()
    subprocess.run(["tar", "-czf", "model.tar.gz", "-C", "model", "."], cwd=tmp_path, check=True)
    told = run("--model", tmp_path / "model.tar.gz")
    assert told.exit_code == 0
    assert "Found 1 advice" in told.stdout
    told = run("--model", tmp_path / "model.tar.gz", "--format", "junit")
    assert 'failures="0"' in told.stdout
    assert "<system-out>" in told.stdout


def test_what_serving_took_is_told_in_a_line_above_the_summary() -> None:
    measured = {"start_seconds": 0.42, "p50_seconds": 0.0031, "p95_seconds": 0.0124, "requests": 87}
    told = text(Report((), (), {"files": ["train.py"], "measured": measured})).splitlines()
    assert told[0] == "Served here: /ping after 0.4 s, 87 requests, 3.1 ms median, 12.4 ms p95."
    assert told[1].startswith("No findings: ")
    more = {"files": ["train.py"], "measured": {**measured, "worker_memory_bytes": 3 * 2**20}}
    assert ", 3 MiB a worker." in text(Report((), (), more))


def test_a_backend_that_there_is_not_ends_with_2(script: Path) -> None:
    assert run(script, "--backend", "podman").exit_code == 2
    told = run(script, "--image", "my-algo", "--run", "--backend", "process")
    assert told.exit_code == 2
    assert "leave --backend process away" in told.stderr


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with 3.11")
def test_a_target_s_backend_is_one_of_two(script: Path) -> None:
    config = script.parent / "sagedock.toml"
    config.write_text('[check]\npath = "train.py"\nbackend = "podman"\n', encoding="utf-8")
    told = run("--config", config)
    assert told.exit_code == 2
    assert "backend is one of process, docker, not 'podman'" in told.stderr
    config.write_text('[check]\npath = "train.py"\nbackend = "docker"\n', encoding="utf-8")
    assert run("--config", config).exit_code == 1  # nothing runs, and no engine is asked
