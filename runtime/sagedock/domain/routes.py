"""Which model server answers an invocation: an immutable route per endpoint, replaced as a whole.

lifecycle/hosting keeps `Routes` current from its threads; server/fast_lane reads it on the event
loop, without a lock: an assignment to a dict is atomic, and a route never changes once published.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelServer:
    """One running `serve` container or process."""

    host: str
    port: int
    log_stream: str


@dataclass(frozen=True, slots=True)
class VariantRoute:
    """A ProductionVariant's model servers and its current weight."""

    name: str
    weight: float
    servers: tuple[ModelServer, ...]
    is_serverless: bool = False


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """An endpoint as the invocation path sees it; no variants until it has been InService."""

    name: str
    arn: str
    status: str
    log_group: str
    variants: tuple[VariantRoute, ...] = ()

    def choose(self, target_variant: str | None = None) -> VariantRoute | None:
        """The named variant, or one drawn by weight; None when there is none to choose.

        Weights are relative: a variant gets weight / sum of weights of the traffic
        (API_ProductionVariant.html, InitialVariantWeight).
        """
        if target_variant is not None:
            return next((v for v in self.variants if v.name == target_variant), None)
        if len(self.variants) == 1:
            return self.variants[0]
        total = sum(variant.weight for variant in self.variants)
        if total <= 0:
            return None
        drawn = random.random() * total
        for variant in self.variants:
            drawn -= variant.weight
            if drawn < 0:
                return variant
        return self.variants[-1]


class Routes:
    """All endpoints by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, EndpointRoute] = {}

    def get(self, endpoint: str) -> EndpointRoute | None:
        return self._by_name.get(endpoint)

    def publish(self, route: EndpointRoute) -> None:
        self._by_name[route.name] = route

    def remove(self, endpoint: str) -> None:
        self._by_name.pop(endpoint, None)
