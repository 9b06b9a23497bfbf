"""Where the emulator is that a command speaks of. Imports nothing heavy: `sagedock env` is part of
people's shell start-up."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import click

from sagedock.errors import StartupError
from sagedock.home import Home
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


_SECONDS_FOR_AN_ANSWER = 5


def _require_sagedock(url: str) -> None:
    try:
        answer = _health(url)
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


def _health(url: str) -> bytes:
    """The whole answer to GET /_sagedock/health, by hand: an HTTP client takes long to import."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    asked = f"GET /_sagedock/health HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((host, port), timeout=_SECONDS_FOR_AN_ANSWER) as connection:
        connection.sendall(asked.encode())
        answer = b""
        while len(answer) < 4096 and (piece := connection.recv(4096)):
            answer += piece
    return answer
