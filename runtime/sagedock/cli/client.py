"""The command line's own AWS clients: it talks to the emulator as anybody else does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import botocore.session
import click
from botocore.config import Config

from sagedock.client_environment import FAKE_KEY, FAKE_SECRET
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


def aws_client(service: str, url: str, region: str) -> Any:
    """A botocore client of the emulator at `url`."""
    return botocore.session.Session().create_client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=FAKE_KEY,
        aws_secret_access_key=FAKE_SECRET,
        config=Config(retries={"max_attempts": 1}, proxies={}, read_timeout=75),
    )
