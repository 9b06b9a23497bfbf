"""Which emulator a command speaks to, and what it says when AWS_ENDPOINT_URL leads elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import sagedock
from sagedock.cli.address import running_url
from sagedock.errors import StartupError
from sagedock.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({}, home=tmp_path / "home")


@pytest.fixture
def stranger() -> Iterator[str]:
    """A web server that is no sagedock."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_server_is_not_taken_for_a_sagedock(
    settings: Settings, stranger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stranger)
    with pytest.raises(StartupError, match=f"{stranger}, and what answers there is no sagedock"):
        running_url(settings)


def test_a_sagedock_that_aws_endpoint_url_names_is_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sagedock.Emulator() as dock:
        monkeypatch.setenv("AWS_ENDPOINT_URL", dock.url)
        assert running_url(settings) == dock.url


@pytest.mark.parametrize("url", ["nonsense", "http://127.0.0.1:many", "http://[::1"])
def test_what_is_no_address_is_named(
    settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(StartupError) as told:
        running_url(settings)
    assert f"no emulator answers at {url} (" in str(told.value)


def test_a_server_that_says_nothing_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagedock.cli.address._SECONDS_FOR_AN_ANSWER", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(StartupError, match="timed out"):
            running_url(settings)


def test_a_setting_that_is_no_option_is_not_called_one() -> None:
    with pytest.raises(StartupError, match=r"^SAGEDOCK_HOLD_SECONDS is 'abc': "):
        Settings.read({"SAGEDOCK_HOLD_SECONDS": "abc"})
