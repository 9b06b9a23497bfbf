"""sagedock serve in the foreground. Its end with jobs running: tests/journeys/test_restarts.py."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from cli.conftest import Sagedock
from journeys.served import Served
from sagedock.home import LAYOUT


def test_it_says_where_it_is_and_what_to_do_until_ctrl_c(tmp_path: Path, frameworks: Path) -> None:
    served = Served(tmp_path / "home", frameworks).start()
    try:
        assert f"home     {tmp_path / 'home'}" in served.text
        assert "backend  process" in served.text
        assert "sagedock run -- python your_script.py" in served.text
        assert "(stops jobs too)" in served.text
        assert served.tell(signal.SIGINT) == 0
        assert "Traceback" not in served.text
    finally:
        served.end()


def test_a_port_that_is_taken_is_a_sentence(sagedock: Sagedock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        told = sagedock("serve", "--port", port)
    assert told.returncode == 1
    assert f"Port {port} is taken" in told.stderr
    assert "--port" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_home_in_use_is_a_sentence(tmp_path: Path, frameworks: Path, sagedock: Sagedock) -> None:
    served = Served(tmp_path / "home", frameworks).start()
    try:
        told = sagedock("serve", "--port", "0")
        assert told.returncode == 1
        assert f"Another sagedock uses the home {tmp_path / 'home'}" in told.stderr
    finally:
        served.end()


def test_a_home_of_a_newer_sagedock_is_a_sentence(sagedock: Sagedock, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "layout").write_text(str(LAYOUT + 1))
    told = sagedock("serve", "--port", "0")
    assert told.returncode == 1
    assert "written by a newer sagedock" in told.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--backend", "docker"], "docker"),
        (["--host", "no.such.host.example"], "--host"),
        (["--home", "/proc/nowhere"], "cannot be used"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    sagedock: Sagedock, flags: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nobody")
    told = sagedock("serve", "--port", "0", *flags)
    assert told.returncode == 1
    assert words in told.stderr
    assert "Traceback" not in told.stderr
