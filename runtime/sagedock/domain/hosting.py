"""Endpoint: which configuration it serves, how its variants stand, and what it is changing to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import Self

from sagedock.domain.resource import Body, Resource
from sagedock.domain.states import CREATING, ENDPOINT_IN_TRANSITION, NEXT_ENDPOINT, check_move
from sagedock.domain.training import FAILURE_REASON_LIMIT


@dataclass(frozen=True, slots=True)
class VariantState:
    """One ProductionVariantSummary of an endpoint."""

    name: str
    model: str
    images: tuple[str, ...]
    current_weight: float
    desired_weight: float
    current_count: int
    desired_count: int

    @classmethod
    def of(cls, variant: Mapping[str, Any], images: tuple[str, ...]) -> Self:
        """From an entry of ProductionVariants; weight and count default to 1
        (API_ProductionVariant.html)."""
        weight = float(variant.get("InitialVariantWeight", 1.0))
        count = int(variant.get("InitialInstanceCount", 1))
        return cls(variant["VariantName"], variant["ModelName"], images, weight, weight, 0, count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint(Resource):
    """An endpoint; immutable, each step makes the next one.

    `config_name` is what it serves, `next_config_name` what it is being updated to (None unless
    Updating). `variants` are those of the configuration being served. `made_by_sdk`: the request
    was one that only the SDKs send.
    """

    kind: ClassVar[str] = "endpoint"
    noun: ClassVar[str] = "endpoint"

    endpoint_status: str = CREATING
    config_name: str
    next_config_name: str | None = None
    variants: tuple[VariantState, ...] = ()
    failure_reason: str | None = None
    made_by_sdk: bool = False

    @property
    def status(self) -> str:
        return self.endpoint_status

    @property
    def in_transition(self) -> bool:
        return self.endpoint_status in ENDPOINT_IN_TRANSITION

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/Endpoints/{self.name}"

    def moved_to(self, status: str, now: datetime, failure_reason: str | None = None) -> Self:
        check_move(NEXT_ENDPOINT, self.name, self.endpoint_status, status)
        cut = failure_reason[:FAILURE_REASON_LIMIT] if failure_reason else None
        return replace(self, endpoint_status=status, failure_reason=cut, modified=now)

    def state(self) -> Body:
        return {
            "endpoint_status": self.endpoint_status,
            "config_name": self.config_name,
            "next_config_name": self.next_config_name,
            "variants": [
                [
                    v.name,
                    v.model,
                    list(v.images),
                    v.current_weight,
                    v.desired_weight,
                    v.current_count,
                    v.desired_count,
                ]
                for v in self.variants
            ],
            "failure_reason": self.failure_reason,
            "made_by_sdk": self.made_by_sdk,
        }

    @classmethod
    def restore(cls, common: Mapping[str, Any], state: Mapping[str, Any]) -> Self:
        variants = tuple(
            VariantState(name, model, tuple(images), *rest)
            for name, model, images, *rest in state["variants"]
        )
        return cls(**common, **{**state, "variants": variants})
