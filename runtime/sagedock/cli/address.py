"""Where the emulator is that a command speaks of. Imports nothing heavy: `sagedock env` is part of
people's shell start-up."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import click

from sagedock.client_environment import write_sdk_config
from sagedock.errors import StartupError
from sagedock.home import Home
from sagedock.server.bundles import write_bundle
from sagedock.settings import Settings

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="The emulator's home (SAGEDOCK_HOME; default ~/.sagedock).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON value, for machines.")


def running_url(settings: Settings) -> str | None:
    """AWS_ENDPOINT_URL where it is set, else the address of the home's running emulator. Raises
    StartupError when AWS_ENDPOINT_URL names something else than a sagedock: it may be left over in
    a shell, or lead to another emulator, or to AWS."""
    named = os.environ.get("AWS_ENDPOINT_URL")
    if named:
        _require_sagedock(named)
        return named
    address = Home(settings.home).address()
    return address.url if address else None


def required_url(settings: Settings) -> str:
    """Raises StartupError with the way out when no emulator runs."""
    url = running_url(settings)
    if url is None:
        raise StartupError(
            f"no emulator runs on the home {settings.home}. Start one: sagedock serve"
        )
    return url


def client_folder(url: str, settings: Settings) -> Path:
    """Where the files are that clients of the emulator at `url` are told of: in its home where that
    is ours, else in a folder of our home, written now from what the emulator says. It may be in a
    container, or be another user's."""
    head, _, authority = _ask(url, "/_sagedock/authority.pem").partition(b"\r\n\r\n")
    with suppress(FileNotFoundError):
        if authority == (settings.home / "tls" / "ca.pem").read_bytes():
            return settings.home
    if not head.startswith(b"HTTP/1.1 200"):  # one that does not say
        return settings.home
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = settings.home / "elsewhere" / urlsplit(url).netloc.replace(":", "-")
    (folder / "tls").mkdir(parents=True, exist_ok=True)
    write_bundle(folder / "tls" / "bundle.pem", authority, os.environ)
    write_sdk_config(folder)
    return folder


_SECONDS_FOR_AN_ANSWER = 5
_MOST_OF_AN_ANSWER = 65536


def _require_sagedock(url: str) -> None:
    try:
        answer = _ask(url, "/_sagedock/health")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise StartupError(
            f"no emulator answers at {url} ({reason}). Start one: sagedock serve; where "
            "AWS_ENDPOINT_URL is left over from before: unset AWS_ENDPOINT_URL"
        ) from error
    if b'{"status":"ok"}' not in answer:
        raise StartupError(
            f"AWS_ENDPOINT_URL is {url}, and what answers there is no sagedock. To use the "
            "emulator of the home: unset AWS_ENDPOINT_URL"
        )


def _ask(url: str, path: str) -> bytes:
    """The whole answer to GET `path`, by hand: an HTTP client takes long to import."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    asked = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, port), timeout=_SECONDS_FOR_AN_ANSWER) as connection:
        connection.sendall(asked.encode())
        answer = b""
        while len(answer) < _MOST_OF_AN_ANSWER and (piece := connection.recv(4096)):
            answer += piece
    return answer
