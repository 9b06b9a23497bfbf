"""What all invocations share: who may come in, which model server answers, and the deadlines.

An invocation goes from the client's connection to a model server's and back as bytes
(server/invocation.py): no ASGI, no thread. The choice of the variant is one look-up in `Routes`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from itertools import count, repeat, takewhile
from typing import Final, Protocol

from sagedock.aws import protocols, routing
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.domain.routes import EndpointRoute, ModelServer, Routes, VariantRoute
from sagedock.domain.states import CREATING, DELETING, FAILED
from sagedock.errors import ServiceError
from sagedock.server import invocations
from sagedock.server.invocations import Asked, Failure, RawHeaders
from sagedock.server.limits import InvocationLimits
from sagedock.server.origins import Fence
from sagedock.server.upstream import Pools

_log = logging.getLogger(__name__)
_PREFIX: Final = b"/endpoints/"
_SUFFIX: Final = b"/invocations"
_WITHOUT_SERVERS: Final = frozenset({CREATING, FAILED, DELETING})
LogAddress = Callable[[str, str], str]
"""(log group, log stream) → where a person can read it."""


class Timed(Protocol):
    """What has a deadline."""

    def time_over(self) -> None:
        """The deadline has passed."""


class FastLane:
    """What all invocations share."""

    def __init__(
        self,
        routes: Routes,
        account: str,
        limits: InvocationLimits,
        fence: Fence,
        log_address: LogAddress,
    ) -> None:
        self.limits = limits
        self.pools = Pools()
        self._routes = routes
        self._account = account
        self._fence = fence
        self._log_address = log_address
        self._under_way: dict[Timed, float] = {}  # with its deadline, the oldest first
        self._alarm: asyncio.TimerHandle | None = None
        self._call = routing.route(
            HttpRequest("POST", "/endpoints/name/invocations", headers={"host": "localhost"})
        )

    def takes(self, url: bytes) -> bool:
        """True for the URL of an invocation."""
        return url.startswith(_PREFIX) and url.partition(b"?")[0].endswith(_SUFFIX)

    def close(self) -> None:
        self.pools.close()
        if self._alarm is not None:
            self._alarm.cancel()

    def began(self, invocation: Timed, loop: asyncio.AbstractEventLoop) -> None:
        """Call `invocation.time_over` unless it ends in time.

        All have the same limit, so the oldest is always the next: one timer does for all of them,
        where one each would be a tenth of an invocation's cost.
        """
        if self.limits.mode == "off":
            return
        self._under_way[invocation] = loop.time() + self.limits.seconds
        if self._alarm is None:
            self._alarm = loop.call_later(self.limits.seconds, self._look_at_clock, loop)

    def ended(self, invocation: Timed) -> None:
        self._under_way.pop(invocation, None)

    def _look_at_clock(self, loop: asyncio.AbstractEventLoop) -> None:
        self._alarm = None
        now = loop.time()
        late = list(takewhile(lambda one: self._under_way[one] <= now, self._under_way))
        for invocation in late:
            del self._under_way[invocation]
            invocation.time_over()
        oldest = next(iter(self._under_way.values()), None)
        if oldest is not None:
            self._alarm = loop.call_later(oldest - now, self._look_at_clock, loop)

    def admit(self, asked: Asked, headers: RawHeaders) -> None:
        """Raises a ServiceError for what must not come in, or is too large."""
        if asked.is_from_browser or not self._fence.knows(asked.host):
            text = {k.decode("latin-1"): v.decode("latin-1") for k, v in headers}
            refused = self._fence.refusal(text)
            if refused is not None:
                raise ServiceError(refused, code="AccessDeniedException", status=403)
        if asked.length is not None:
            self.check_size(asked.length)

    def check_size(self, size: int, is_serverless: bool = False) -> None:
        """Raises payload_too_large or oversize_body, or logs it, as the mode says."""
        limits = self.limits
        most = limits.serverless_bytes if is_serverless else limits.request_bytes
        if size <= most or limits.mode == "off":
            return
        if limits.mode == "strict" and is_serverless:
            raise invocations.oversize_body(new_request_id(), most)
        if limits.mode == "strict":
            raise invocations.payload_too_large(most)
        _log.warning("an invocation of %d bytes: AWS refuses over %d", size, most)

    def choose(self, url: bytes, asked: Asked) -> tuple[EndpointRoute, VariantRoute]:
        """The endpoint and the variant that answers; raises a ServiceError."""
        target = asked.target_variant
        route = self._routes.get(url[len(_PREFIX) : -len(_SUFFIX)].decode("latin-1"))
        if route is None:
            name = invocations.endpoint_name(url)
            route = self._routes.get(name)
            if route is None:
                raise invocations.endpoint_not_found(name, self._account)
        if not route.variants and route.status not in _WITHOUT_SERVERS:
            raise invocations.no_server_yet(route)
        if not route.variants:
            raise invocations.endpoint_not_in_service(route)
        if asked.has_target_model:
            raise invocations.not_multi_model(route.name)
        variant = route.choose(target)
        if variant is None and target is not None:
            raise invocations.variant_not_found(route, target)
        if variant is None:
            raise invocations.no_variant_has_weight(route)
        return route, variant

    def error_answer(self, error: ServiceError) -> HttpResponse:
        return protocols.serialize_error(self._call, error, new_request_id())

    def model_error(
        self, failure: Failure, route: EndpointRoute, server: ModelServer | None
    ) -> ServiceError:
        stream = server.log_stream if server else ""
        address = self._log_address(route.log_group, stream)
        return invocations.model_error(failure, route, server, address)


_ids = zip(repeat(str(uuid.uuid4())[:24]), count(random.getrandbits(40)), strict=False)


def new_request_id() -> str:
    """In the form of AWS's, and counted on within a process: a random one takes ten times as
    long, which shows in the time of an invocation."""
    return "{}{:012x}".format(*next(_ids))
