"""The command line's own AWS clients: it talks to the emulator as anybody else does."""

from __future__ import annotations

from typing import Any

import botocore.session
from botocore.config import Config

from sagedock.client_environment import FAKE_KEY, FAKE_SECRET


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
