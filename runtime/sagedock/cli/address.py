"""Where the emulator is that a command speaks of. Imports nothing heavy: `sagedock env` is part of
people's shell start-up."""

from __future__ import annotations

import os
from pathlib import Path

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
    """AWS_ENDPOINT_URL where it is set, else the address of the home's running emulator."""
    if os.environ.get("AWS_ENDPOINT_URL"):
        return os.environ["AWS_ENDPOINT_URL"]
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
