"""What the commands say where nothing runs, and that they say it soon."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.conftest import Sagedock
from requests_as_sdks_send import PATIENCE
from sagedock import __version__
from sagedock.cli import COMMANDS, main
from sagedock.home import Home

HEAVY = ("sagedock.emulator", "botocore", "fastapi", "numpy", "PIL")


def test_help_lists_every_command_with_the_verb_of_its_own_first_sentence() -> None:
    """The list is kept apart from the commands, so that help loads none of them."""
    told = CliRunner().invoke(main, ["--help"]).output
    for name, sentence in COMMANDS.items():
        command = importlib.import_module(f"sagedock.cli.{name}").command
        assert f"\n  {name} " in told
        assert command.help.split()[0] == sentence.split()[0]


def test_version_is_the_packages() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"sagedock, version {__version__}\n"


def test_an_unknown_command_and_option_are_refused(sagedock: Sagedock) -> None:
    assert sagedock("serv").returncode == 2
    told = sagedock("status", "--nope")
    assert told.returncode == 2
    assert "--nope" in told.stderr


@pytest.mark.parametrize("words", [["--help"], ["env"], ["run"], ["reset", "-y"]])
def test_a_light_command_imports_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    code = (
        "import sys; from sagedock.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print('loaded', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    call = [sys.executable, "-c", code, *words]
    environment = {"SAGEDOCK_HOME": str(tmp_path), "PATH": ""}
    told = subprocess.run(
        call, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert told.stdout.endswith("loaded []\n")


@pytest.mark.parametrize("words", [["env"], ["logs", "job"], ["invoke", "dock"]])
def test_no_emulator_is_a_sentence_with_the_way_out(sagedock: Sagedock, words: list[str]) -> None:
    told = sagedock(*words)
    assert told.returncode == 1
    assert "no emulator runs on the home" in told.stderr
    assert "sagedock serve" in told.stderr
    assert told.stdout == ""


def test_status_without_an_emulator_exits_with_3(sagedock: Sagedock, tmp_path: Path) -> None:
    told = sagedock("status")
    assert told.returncode == 3
    assert "sagedock serve" in told.stdout
    as_json = sagedock("status", "--json")
    assert as_json.returncode == 3
    assert json.loads(as_json.stdout) == {"running": False, "home": str(tmp_path / "home")}


def test_an_address_where_nothing_answers_is_named(sagedock: Sagedock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        url = f"http://127.0.0.1:{holder.getsockname()[1]}"
    told = sagedock("status", env={"AWS_ENDPOINT_URL": url})
    assert told.returncode == 1
    assert url in told.stderr
    assert "unset AWS_ENDPOINT_URL" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_bad_setting_is_named(sagedock: Sagedock) -> None:
    told = sagedock("status", env={"SAGEDOCK_PORT": "many"})
    assert told.returncode == 1
    assert "SAGEDOCK_PORT (--port) is 'many'" in told.stderr


def test_operations_lists_what_is_emulated(sagedock: Sagedock) -> None:
    found = json.loads(sagedock("operations", "--json").stdout)
    assert "CreateTrainingJob" in found["sagemaker"]
    assert "InvokeEndpoint" in found["sagemaker-runtime"]
    text = sagedock("operations").stdout
    assert all(name in text for names in found.values() for name in names)


def test_images_lists_families_and_what_they_stand_for(sagedock: Sagedock) -> None:
    families = {row["family"]: row for row in json.loads(sagedock("images", "--json").stdout)}
    assert "1.9.0" in families["mxnet"]["versions"]
    assert "sagemaker-mxnet" in families["mxnet"]["stands_for"]
    assert "sagedock/mxnet" in sagedock("images").stdout


def test_images_build_makes_an_environment_and_says_where(sagedock: Sagedock) -> None:
    told = sagedock("images", "build", "python", "--backend", "process")
    assert told.returncode == 0, told.stderr
    path = Path(told.stdout.strip())
    assert path.is_dir()
    rows = json.loads(sagedock("images", "--json").stdout)
    assert {row["family"]: row["ready"] for row in rows}["python"] is True


NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}


def test_without_an_engine_images_shows_environments_and_says_why(sagedock: Sagedock) -> None:
    for words in (("images",), ("images", "ls")):
        told = sagedock(*words, env=NO_ENGINE).stdout
        assert "python on Python 3" in told
        assert "sagedock/python:3.11-cpu" not in told
        assert "No Docker engine answers at unix:///nowhere/docker.sock" in told


def test_without_an_engine_build_makes_the_environment(sagedock: Sagedock) -> None:
    told = sagedock("images", "build", "python", env=NO_ENGINE)
    assert told.returncode == 0, told.stderr
    assert Path(told.stdout.strip()).is_dir()


@pytest.mark.parametrize(
    "words", [["build", "python", "--backend", "docker"], ["save", "x.tar"], ["load", "x.tar"]]
)
def test_what_needs_an_engine_says_so(sagedock: Sagedock, words: list[str]) -> None:
    told = sagedock("images", *words, env=NO_ENGINE)
    assert told.returncode == 1
    assert "No Docker engine answers" in told.stderr


def test_a_family_that_is_none_is_named_with_those_there_are(sagedock: Sagedock) -> None:
    told = sagedock("images", "build", "torch", env=NO_ENGINE)
    assert told.returncode == 1
    assert "no image family 'torch'. There are mxnet (and mxnet-cuda), python." in told.stderr


def test_the_image_for_gpus_is_no_environment(sagedock: Sagedock) -> None:
    told = sagedock("images", "build", "mxnet-cuda", "--backend", "process", env=NO_ENGINE)
    assert told.returncode == 1
    assert "mxnet-cuda is an image" in told.stderr
    told = sagedock("images", "build", "python-gpu", env=NO_ENGINE)
    assert "python has no image for GPUs" in told.stderr


def test_images_shows_the_table_of_the_home(sagedock: Sagedock, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    row = '[[image]]\nuri = "*/mine:*"\nrun = "mine:latest"\n[family.own]\n'
    (tmp_path / "home" / "images.toml").write_text(row)
    told = sagedock("images", env=NO_ENGINE).stdout
    assert "*/mine:*\n  is run as  mine:latest" in told
    assert "sagedock/own" in told
    told_of_build = sagedock("images", "build", "own", env=NO_ENGINE)
    assert told_of_build.returncode == 1
    assert "[family.own.environment]" in told_of_build.stderr


def test_a_table_that_cannot_be_right_stops_the_command(sagedock: Sagedock, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "images.toml").write_text("[[images]]\n")
    told = sagedock("images")
    assert told.returncode == 1
    assert "images.toml: images means nothing. Known here: family, image" in told.stderr


def test_doctor_says_what_is_there_and_that_nothing_is_bad(sagedock: Sagedock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        free = str(holder.getsockname()[1])
    told = sagedock("doctor", "--json", env={"SAGEDOCK_PORT": free})
    findings = {row["subject"]: row for row in json.loads(told.stdout)}
    assert told.returncode == 0, told.stdout
    assert findings["port"]["state"] == "ok"
    assert sys.executable in findings["python"]["told"]
    assert {"disk", "uv", "interpreters"} <= set(findings)
    text = sagedock("doctor", env={"SAGEDOCK_PORT": free}).stdout
    assert all(subject in text for subject in findings)


def test_doctor_says_that_there_is_no_engine_and_what_runs_code_then(sagedock: Sagedock) -> None:
    """Not a fault, unless the engine was asked for."""
    nowhere = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "SAGEDOCK_PORT": "0"}
    told = sagedock("doctor", env=nowhere)
    assert told.returncode == 0, told.stdout
    assert "note  engine" in told.stdout
    assert "No Docker engine answers at unix:///nowhere/docker.sock." in told.stdout
    assert "user code runs as processes" in told.stdout
    told = sagedock("doctor", env={**nowhere, "SAGEDOCK_BACKEND": "docker"})
    assert told.returncode == 1
    assert "BAD   engine" in told.stdout


def test_doctor_exits_with_1_and_the_mending_when_the_port_is_taken(sagedock: Sagedock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        told = sagedock("doctor", env={"SAGEDOCK_PORT": str(port)})
    assert told.returncode == 1
    assert "BAD   port" in told.stdout
    assert "sagedock serve --port N" in told.stdout


def test_doctor_lists_every_setting(sagedock: Sagedock) -> None:
    told = sagedock("doctor", "--settings", env={"SAGEDOCK_REGION": "eu-west-1"}).stdout
    assert "SAGEDOCK_REGION=eu-west-1\n" in told
    assert "SAGEDOCK_HOLD_SECONDS=" in told


# --- reset ------------------------------------------------------------------------------------


def furnished(folder: Path) -> Path:
    """A home with something of everything."""
    home = Home(folder)
    home.open()
    home.close()
    for name in ("jobs/a/ml", "endpoints", "frameworks/mxnet", "layers/x", "tls", "objects"):
        (folder / name).mkdir(parents=True)
    (folder / "sagedock.db").write_text("x")
    (folder / "tls" / "ca.pem").write_text("x")
    return folder


def test_reset_keeps_environments_and_the_authority(sagedock: Sagedock, tmp_path: Path) -> None:
    home = furnished(tmp_path / "home")
    told = sagedock("reset", "--yes")
    assert told.returncode == 0, told.stderr
    left = {path.name for path in home.iterdir()}
    assert left == {"frameworks", "layers", "tls", "lock", "layout"}
    assert "kept" in told.stdout


def test_reset_of_all_leaves_only_the_lock(sagedock: Sagedock, tmp_path: Path) -> None:
    home = furnished(tmp_path / "home")
    assert sagedock("reset", "--yes", "--all").returncode == 0
    assert {path.name for path in home.iterdir()} == {"lock"}


def test_reset_leaves_the_image_table_that_a_person_wrote(
    sagedock: Sagedock, tmp_path: Path
) -> None:
    home = furnished(tmp_path / "home")
    (home / "images.toml").write_text("")
    assert sagedock("reset", "--yes", "--all").returncode == 0
    assert (home / "images.toml").exists()


def test_reset_asks_first(sagedock: Sagedock, tmp_path: Path) -> None:
    home = furnished(tmp_path / "home")
    told = sagedock("reset", stdin="n\n")
    assert told.returncode == 1
    assert (home / "sagedock.db").exists()


def test_reset_of_a_folder_that_is_none_of_ours_touches_nothing(
    sagedock: Sagedock, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious.txt").write_text("x")
    told = sagedock("reset", "--yes", "--all")
    assert "holds nothing of sagedock's" in told.stdout
    assert (tmp_path / "home" / "precious.txt").exists()


# --- completion -------------------------------------------------------------------------------


def test_the_bash_completion_completes_commands(tmp_path: Path) -> None:
    """The script as bash reads it, with a `sagedock` on the PATH."""
    program = tmp_path / "sagedock"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sagedock "$@"\n')
    program.chmod(0o755)
    script = f"""
    PATH={tmp_path}:$PATH
    eval "$(sagedock completion bash)"
    COMP_WORDS=(sagedock st) COMP_CWORD=1
    _sagedock_completion sagedock
    echo "${{COMPREPLY[@]}}"
    """
    told = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert told.stdout.strip() == "status", told.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(shell: str) -> None:
    told = CliRunner().invoke(main, ["completion", shell])
    assert told.exit_code == 0
    assert f"_SAGEDOCK_COMPLETE={shell}_complete" in told.output
