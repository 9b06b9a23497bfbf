"""What SageMaker's operations need of the rooms beside them, in their own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sagedock.domain.hosting import Endpoint
from sagedock.domain.training import TrainingJob


class TrainingStarter(Protocol):
    """lifecycle/training.py."""

    def start(self, job: TrainingJob) -> None:
        """Take a stored job to its end; returns at once."""

    def stop(self, job: TrainingJob) -> None:
        """Ask it to stop: Stopping when this returns."""


class EndpointKeeper(Protocol):
    """lifecycle/hosting.py. All return at once."""

    def create(self, endpoint: Endpoint) -> None:
        """Bring a stored endpoint into service."""

    def update(self, endpoint: Endpoint) -> None:
        """Take one that was saved as Updating to its next configuration."""

    def set_weights(
        self, endpoint: Endpoint, wanted: Mapping[str, tuple[float | None, int | None]]
    ) -> None:
        """Give variants of one that was saved as Updating other weights and instance counts."""

    def delete(self, endpoint: Endpoint) -> None:
        """Stop one that was saved as Deleting, and forget it."""


class ObjectLookup(Protocol):
    """store/objects.py: is it in S3?"""

    def get(self, bucket: str, key: str) -> object:
        """Raises ServiceErrors NoSuchBucket and NoSuchKey."""

    def exists_under(self, bucket: str, prefix: str) -> bool:
        """Whether any key of the bucket starts with `prefix`. Raises NoSuchBucket."""


class News(Protocol):
    """lifecycle/changes.py: tells who waits for a resource that it has changed."""

    def notify(self, resource: str) -> None: ...
