"""Variables that every run gets so that its own AWS calls reach the emulator."""

from __future__ import annotations

from collections.abc import Callable


class RunEnvironment:
    """`endpoint` tells the emulator's address as runs see it; known only once it listens."""

    def __init__(self, endpoint: Callable[[], str], region: str) -> None:
        self._endpoint = endpoint
        self._region = region

    def variables(self) -> dict[str, str]:
        """Region and address, and credentials that are plainly fake: boto3 wants some."""
        return {
            "AWS_ENDPOINT_URL": self._endpoint(),
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_ACCESS_KEY_ID": "sagedock",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
