"""The commands beside a running emulator, as a user's shell sees them."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conftest import Sagedock
from journeys.traveller import Traveller
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock import Emulator

# --- env --------------------------------------------------------------------------------------


def test_env_leads_a_shell_to_the_emulator_and_back(here: Sagedock, emulator: Emulator) -> None:
    lines = here("env").stdout
    undo = here("env", "--unset").stdout
    script = f'{lines}\necho $AWS_ENDPOINT_URL\n{undo}\necho "[$AWS_ENDPOINT_URL$HTTPS_PROXY]"'
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout == f"{emulator.url}\n[]\n"


def test_env_quotes_what_a_shell_would_take_apart(here: Sagedock) -> None:
    told = here("env", env={"NO_PROXY": "my host;rm -rf x,$HOME"}).stdout
    script = told + "\nprintf '%s' \"$NO_PROXY\""
    value = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert value == "127.0.0.1,localhost,::1,my host;rm -rf x,$HOME"


def test_env_speaks_fish_and_powershell(here: Sagedock, emulator: Emulator) -> None:
    fish = here("env", "--shell", "fish").stdout
    assert f"set -gx AWS_ENDPOINT_URL {emulator.url}\n" in fish
    powershell = here("env", "--shell", "powershell").stdout
    assert f"$env:AWS_ENDPOINT_URL = '{emulator.url}'\n" in powershell
    assert (
        "Remove-Item Env:AWS_ENDPOINT_URL\n"
        in here("env", "--shell", "powershell", "--unset").stdout
    )


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_reads_its_lines(here: Sagedock, emulator: Emulator) -> None:
    script = here("env", "--shell", "fish").stdout + "\necho $AWS_ENDPOINT_URL"
    told = subprocess.run(["fish", "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == emulator.url


def test_env_works_for_an_emulator_whose_home_is_another(
    sagedock: Sagedock, emulator: Emulator
) -> None:
    told = sagedock("env", "--json", env={"AWS_ENDPOINT_URL": emulator.url}).stdout

    bundle = Path(json.loads(told)["AWS_CA_BUNDLE"])
    assert emulator.settings.home not in bundle.parents
    assert (emulator.home.tls / "ca.pem").read_bytes() in bundle.read_bytes()


def test_a_shell_that_has_nothing_of_ours_is_led_here_by_what_the_emulator_says(
    emulator: Emulator, tmp_path: Path
) -> None:
    with urllib.request.urlopen(f"{emulator.url}/_sagedock/env") as answer:
        lines = answer.read().decode()
    asked = "boto3.client('sts', endpoint_url='https://sts.us-east-1.amazonaws.com')"
    program = f"import boto3; print({asked}.get_caller_identity()['Account'])"
    script = f'{lines}\n{shlex.quote(sys.executable)} -c "{program}"; echo "$NO_PROXY"'
    environment = {**os.environ, "TMPDIR": str(tmp_path), "NO_PROXY": "intranet"}

    told = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert told.stdout == f"{emulator.settings.account}\n127.0.0.1,localhost,::1,intranet\n"


def test_env_explains_every_variable(here: Sagedock) -> None:
    variables = json.loads(here("env", "--json").stdout)
    told = here("env", "--explain").stdout
    assert all(f"{name}={value}\n" in told for name, value in variables.items())
    assert "To undo" in told


def test_env_respects_what_the_user_has_set(here: Sagedock) -> None:
    own = {"AWS_PROFILE": "work", "SAGEMAKER_USER_CONFIG_OVERRIDE": "/my/own.yaml"}
    variables = json.loads(here("env", "--json", env=own).stdout)
    assert variables["AWS_PROFILE"] is None
    assert "SAGEMAKER_USER_CONFIG_OVERRIDE" not in variables
    assert "unset AWS_PROFILE\n" in here("env", env=own).stdout
    bare = json.loads(here("env", "--json").stdout)
    assert Path(bare["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text().startswith("# Written by")


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ("intranet.example", "127.0.0.1,localhost,::1,intranet.example"),
        ("*", "127.0.0.1,localhost,::1"),
        (".amazonaws.com,x", "127.0.0.1,localhost,::1,x"),
    ],
)
def test_a_users_no_proxy_is_kept_but_not_past_us(here: Sagedock, own: str, wanted: str) -> None:
    assert json.loads(here("env", "--json", env={"NO_PROXY": own}).stdout)["NO_PROXY"] == wanted


# --- run --------------------------------------------------------------------------------------

SEES = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"


def test_run_leads_a_command_to_the_homes_emulator(here: Sagedock, emulator: Emulator) -> None:
    told = here("run", "--", sys.executable, "-c", SEES)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("arn:aws:sts::000000000000:assumed-role/")
    assert "started an emulator" not in told.stderr
    told = here("run", "--", "sh", "-c", "echo $AWS_ENDPOINT_URL")
    assert told.stdout.strip() == emulator.url


def test_run_prefers_the_address_of_the_environment(sagedock: Sagedock, emulator: Emulator) -> None:
    told = sagedock(
        "run", "--", "sh", "-c", "echo $AWS_ENDPOINT_URL", env={"AWS_ENDPOINT_URL": emulator.url}
    )
    assert told.stdout.strip() == emulator.url


def test_run_starts_an_emulator_where_none_runs_and_stops_it(
    sagedock: Sagedock, tmp_path: Path
) -> None:
    told = sagedock("run", "--", sys.executable, "-c", SEES)
    assert told.returncode == 0, told.stderr
    assert "sagedock: started an emulator at http://127.0.0.1:" in told.stderr
    assert "assumed-role" in told.stdout
    assert not (tmp_path / "home" / "address.json").exists()


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_run_ends_as_its_command_ends(here: Sagedock, script: str, code: int) -> None:
    assert here("run", "--", "sh", "-c", script).returncode == code


def test_run_passes_options_and_input_on(here: Sagedock) -> None:
    told = here("run", "--", "cat", "-", stdin="through")
    assert told.stdout == "through"
    assert here("run", "printf", "%s|", "--home", "a b").stdout == "--home|a b|"


def test_run_names_a_command_that_is_not_there(here: Sagedock) -> None:
    told = here("run", "--", "no-such-program")
    assert told.returncode == 1
    assert "no command 'no-such-program' on your PATH" in told.stderr


def test_run_hands_a_sigterm_to_its_command(emulator: Emulator, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap 'exit 9' TERM; touch {shlex.quote(str(ready))}; while :; do sleep 0.05; done"
    home = {**os.environ, "SAGEDOCK_HOME": str(emulator.settings.home)}
    call = [sys.executable, "-m", "sagedock", "run", "--", "sh", "-c", script]
    with subprocess.Popen(call, env=home) as process:
        wait_for(ready.exists, bool)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 9


# --- jobs, endpoints, logs --------------------------------------------------------------------


@pytest.fixture(scope="module")
def dock(traveller: Traveller) -> str:
    """An endpoint of legacy_story.py; a job called "told" has ended before it."""
    job = traveller.train("told", lines=3)
    assert job["TrainingJobStatus"] == "Completed"
    assert traveller.deploy("dock", traveller.legacy())["EndpointStatus"] == "InService"
    return "dock"


def test_status_shows_jobs_and_endpoints(here: Sagedock, dock: str, emulator: Emulator) -> None:
    found = json.loads(here("status", "--json").stdout)
    assert (found["running"], found["url"]) == (True, emulator.url)
    assert [(job["name"], job["status"]) for job in found["training_jobs"]] == [
        ("told", "Completed")
    ]
    assert [(e["name"], e["status"]) for e in found["endpoints"]] == [(dock, "InService")]
    text = here("status").stdout
    assert "told  Completed" in text
    assert "dock  InService" in text


def test_logs_prints_what_a_job_printed(here: Sagedock, dock: str) -> None:
    lines = here("logs", "told").stdout.splitlines()
    assert lines[-3:] == ["line 0 loss=1.00", "line 1 loss=0.50", "line 2 loss=0.33"]
    events = [json.loads(line) for line in here("logs", "told", "--json").stdout.splitlines()]
    assert [event["message"] for event in events] == lines
    assert events[0]["stream"].startswith("told/algo-1-")


def test_logs_prints_what_an_endpoint_printed(here: Sagedock, dock: str) -> None:
    assert "Serving" in here("logs", dock).stdout


def test_logs_follows_a_job_to_its_end(here: Sagedock, traveller: Traveller) -> None:
    traveller.start("followed", seconds=1.5, lines=2)
    told = here("logs", "--follow", "followed")
    assert told.returncode == 0
    assert told.stdout.splitlines()[-2:] == ["line 0 loss=1.00", "line 1 loss=0.50"]
    assert traveller.ended("followed")["TrainingJobStatus"] == "Completed"


def test_logs_of_nothing_says_how_to_find_names(here: Sagedock) -> None:
    told = here("logs", "nobody")
    assert told.returncode == 1
    assert "no training job and no endpoint 'nobody'; `sagedock status` lists them" in told.stderr


# --- invoke -----------------------------------------------------------------------------------


def got(here: Sagedock, *words: str, stdin: str = "") -> object:
    told = here("invoke", "dock", *words, stdin=stdin)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["got"]


def test_invoke_sends_json_from_a_file_or_from_stdin(
    here: Sagedock, dock: str, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_text("[1, 2]")
    assert got(here, str(tmp_path / "in.json")) == [1, 2]
    assert got(here, "-", stdin='{"a": 1}') == {"a": 1}
    assert got(here, stdin='"short"') == "short"


def test_invoke_makes_a_picture_an_array_with_channels_first(
    here: Sagedock, dock: str, tmp_path: Path
) -> None:
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:, :, 0], pixels[1, 2, 2] = 200, 7
    Image.fromarray(pixels).save(tmp_path / "p.png")
    array = np.array(got(here, str(tmp_path / "p.png")))
    assert array.shape == (1, 3, 4, 6)
    assert (array[0, 0] == 200).all()
    assert array[0, 2, 1, 2] == 7
    small = np.array(got(here, str(tmp_path / "p.png"), "--size", "2x3"))
    assert small.shape == (1, 3, 3, 2)


@pytest.mark.parametrize("size", ["32", "32x", "axb", "0x5"])
def test_invoke_names_a_size_that_is_none(
    here: Sagedock, dock: str, tmp_path: Path, size: str
) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "p.png")
    told = here("invoke", dock, str(tmp_path / "p.png"), "--size", size)
    assert told.returncode == 1
    assert f"--size is {size!r}; write WxH" in told.stderr


def test_invoke_names_what_cannot_be_sent_or_answered(
    here: Sagedock, dock: str, tmp_path: Path
) -> None:
    assert "cannot be read" in here("invoke", dock, str(tmp_path / "not-there.json")).stderr
    (tmp_path / "no.png").write_text("no picture")
    assert "is no picture" in here("invoke", dock, str(tmp_path / "no.png")).stderr
    told = here("invoke", "nobody", stdin="[1]")
    assert told.returncode == 1
    assert "ValidationError: Endpoint nobody of account 000000000000 not found" in told.stderr
    assert "ModelError" in here("invoke", dock, stdin='"break"').stderr


def test_npy_and_csv_files_are_sent_as_what_they_are(
    here: Sagedock, dock: str, tmp_path: Path
) -> None:
    """legacy_story.py reads JSON alone: what arrived shows in its complaint."""
    file = io.BytesIO()
    np.save(file, np.arange(3))
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    (tmp_path / "a.csv").write_text("7")
    assert "ModelError" in here("invoke", dock, str(tmp_path / "a.npy")).stderr
    assert got(here, str(tmp_path / "a.csv")) == 7


# --- a home in use ----------------------------------------------------------------------------


def test_reset_is_refused_while_the_emulator_runs(here: Sagedock, emulator: Emulator) -> None:
    told = here("reset", "--yes")
    assert told.returncode == 1
    assert f"Another sagedock uses the home {emulator.settings.home}" in told.stderr
    assert emulator.home.database.exists()


def test_doctor_finds_the_emulator(here: Sagedock, emulator: Emulator) -> None:
    findings = {row["subject"]: row for row in json.loads(here("doctor", "--json").stdout)}
    assert emulator.url in findings["emulator"]["told"]
