"""What every SageMaker resource has: a name, an ARN, times, a version, and the request it came
from.

A resource keeps its validated request; Describe merges state over it and projects the result
through the operation's output shape, so that what was sent comes back and what was not stays out
(reference: finding C of the SDKs' behaviour, services/sagemaker tests).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, ClassVar

from typing_extensions import Self

Body = dict[str, Any]


def to_epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def from_epoch(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """Base of all stored resources; `version` counts saves (the store's compare-and-set)."""

    kind: ClassVar[str]
    """As in ARNs: "training-job", "model", "endpoint-config", "endpoint"."""

    noun: ClassVar[str]
    """As in AWS's error texts: "training job", "model", "endpoint configuration", "endpoint"."""

    name: str
    arn: str
    created: datetime
    modified: datetime
    request: Mapping[str, Any]
    version: int = 0

    @property
    def status(self) -> str:
        """The primary status that lists filter by; "" for kinds without one."""
        return ""

    def state(self) -> Body:
        """What is stored beside the request, as JSON values (times as seconds since 1970)."""
        return {}

    @classmethod
    def restore(cls, common: Mapping[str, Any], state: Mapping[str, Any]) -> Self:
        """The inverse of `state`; `common` holds the fields of this class."""
        return cls(**common)

    def at(self, now: datetime) -> Self:
        """The same, modified now."""
        return replace(self, modified=now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model(Resource):
    """A recorded CreateModel request."""

    kind: ClassVar[str] = "model"
    noun: ClassVar[str] = "model"

    @property
    def containers(self) -> tuple[Mapping[str, Any], ...]:
        """Its container definitions: PrimaryContainer, or Containers in order."""
        primary = self.request.get("PrimaryContainer")
        return (primary,) if primary else tuple(self.request.get("Containers", ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointConfig(Resource):
    """A recorded CreateEndpointConfig request."""

    kind: ClassVar[str] = "endpoint-config"
    noun: ClassVar[str] = "endpoint configuration"

    @property
    def variants(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(self.request.get("ProductionVariants", ()))
