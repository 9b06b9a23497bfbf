"""The command line's own AWS clients: it talks to the emulator as anybody else does."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

from sagedock.client_environment import FAKE_KEY, FAKE_SECRET
from sagedock.errors import StartupError


def aws_client(service: str, url: str, region: str) -> Any:
    """A botocore client of the emulator at `url`. Raises StartupError when nothing answers there:
    AWS_ENDPOINT_URL may be left over in a shell."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5).close()
    except OSError as error:
        raise StartupError(
            f"no emulator answers at {url} ({error.strerror or error}). Start one: sagedock serve; "
            "where AWS_ENDPOINT_URL is left over from before: unset AWS_ENDPOINT_URL"
        ) from error
    return botocore.session.Session().create_client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=FAKE_KEY,
        aws_secret_access_key=FAKE_SECRET,
        config=Config(retries={"max_attempts": 1}, proxies={}, read_timeout=75),
    )
