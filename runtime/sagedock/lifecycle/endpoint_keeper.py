"""Endpoint: Creating → InService → Updating → … → gone; one thread per endpoint.

The API asks by putting an order into the endpoint's queue; its thread alone builds fleets, swaps
routes and moves the state. An update builds the new fleet first, swaps, then stops the old one, so
that no invocation falls between them.
"""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from sagedock.domain.hosting import Endpoint, VariantState
from sagedock.domain.resource import EndpointConfig
from sagedock.domain.routes import EndpointRoute, Routes
from sagedock.domain.states import (
    CREATING,
    DELETING,
    FAILED,
    IN_SERVICE,
    ROLLING_BACK,
    SYSTEM_UPDATING,
    UPDATING,
)
from sagedock.lifecycle.changes import Changes
from sagedock.lifecycle.fleet import Fleet, FleetFailed, HostingRooms, ServerEnded, variant_states
from sagedock.lifecycle.model_server import ServedModel
from sagedock.store.database import DiskFull
from sagedock.store.resources import NotFound, Outdated

log = logging.getLogger("sagedock.hosting")

ROUTE_LINGER_SECONDS = 0.2
MAX_RESTARTS = 3
RESTART_WINDOW_SECONDS = 60.0
_SECONDS_BETWEEN_TRIES = 0.5
"""More restarts than that within so short a time, and the endpoint is called Failed: its server
will not stay up. The service says nothing about when it gives up."""

Weights = Mapping[str, "tuple[float | None, int | None]"]
Order = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Ended:
    server: ServedModel
    code: int | None


class EndpointKeeper:
    """The thread of one endpoint. `forget` is called when it takes no more orders."""

    def __init__(
        self,
        endpoint: Endpoint,
        rooms: HostingRooms,
        routes: Routes,
        changes: Changes,
        forget: Callable[[EndpointKeeper], None],
    ) -> None:
        self.name, self._arn, self._log_group = endpoint.name, endpoint.arn, endpoint.log_group
        self._rooms, self._routes, self._changes, self._forget = rooms, routes, changes, forget
        self._orders: queue.SimpleQueue[Order | _Ended | None] = queue.SimpleQueue()
        self._fleet: Fleet | None = None
        self._restarts: deque[float] = deque(maxlen=MAX_RESTARTS + 1)
        self._given_up = threading.Event()
        self._over = False
        self.gone = threading.Event()
        """Set when the endpoint was deleted."""
        self._ending: Order | None = None

    # --- asked by others ----------------------------------------------------------------------

    def put(self, order: Order) -> None:
        self._orders.put(order)

    def wish(self, wanted: Weights) -> None:
        """Save wanted weights and counts, for `scale`."""
        self._change(lambda e: replace(e, variants=_with_wishes(e.variants, wanted)))

    def give_up(self) -> None:
        """What is being built will not be needed."""
        self._given_up.set()

    def close(self, grace_seconds: float) -> None:
        """The emulator ends, and the servers with it."""
        self._end(lambda: self._stop_fleet(grace_seconds))

    def leave(self) -> None:
        """The emulator ends; servers that are in service stay."""
        self._end(lambda: self._fleet.leave() if self._fleet is not None else None)

    def _end(self, how: Order) -> None:
        self._ending = how
        self.give_up()
        self._orders.put(None)

    # --- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not self._over:
                self._carry_out(self._orders.get())
        finally:
            self._forget(self)

    def _carry_out(self, order: Order | _Ended | None) -> None:
        if self._ending is not None:
            self._over = True
            self._ending()
            return
        try:
            if isinstance(order, _Ended):
                self._server_ended(order)
            elif order is not None:
                order()
        except NotFound:
            log.info("Endpoint %s was deleted meanwhile", self.name)
            self._over = True
            self._stop_fleet(0)
        except DiskFull as error:
            log.error("Endpoint %s waits to be marked Failed: %s", self.name, error)
            self._fail_when_there_is_room(f"InternalServerError: {error}")
        except Exception:
            log.exception("Endpoint %s failed through a fault of sagedock's own", self.name)
            self._fail("InternalServerError: We encountered an internal error (sagedock).")

    def create(self) -> None:
        self._publish()
        self._bring_up()

    def adopt(self) -> None:
        """Go on after our own restart, whatever the endpoint was about when the emulator ended."""
        endpoint = self._endpoint()
        try:
            fleet = self._new_fleet(endpoint, endpoint.config_name)
        except FleetFailed as failure:
            self._end_what_was_left()
            self._fail(str(failure))
            return
        adopted = endpoint.status != CREATING and fleet.adopt()
        if adopted:
            self._serve(fleet)
        else:
            self._end_what_was_left()
        if endpoint.status == UPDATING and endpoint.next_config_name is not None:
            self._publish()
            self.update()
        elif endpoint.status == UPDATING and adopted:
            self._publish()
            self.scale()
        elif adopted:
            if endpoint.status != IN_SERVICE:
                self._change(lambda e: e.moved_to(IN_SERVICE, _now(), e.failure_reason))
            self._publish()
        else:
            if endpoint.status == IN_SERVICE:
                self._change(lambda e: e.moved_to(SYSTEM_UPDATING, _now()))
            self._publish()
            self._bring_up()

    def update(self) -> None:
        """New fleet, swap, stop the old one; on failure roll back to what served before."""
        endpoint = self._endpoint()
        if endpoint.status != UPDATING or endpoint.next_config_name is None:
            return
        old = self._fleet
        try:
            fleet = self._new_fleet(endpoint, endpoint.next_config_name)
            states = _retained(endpoint, variant_states(fleet.config, self._rooms.models))
            self._build(fleet, states)
        except FleetFailed as failure:
            self._roll_back(str(failure))
            return
        self._serve(fleet)
        self._change(
            lambda e: replace(
                e.moved_to(IN_SERVICE, _now()),
                config_name=fleet.config.name,
                next_config_name=None,
                variants=_settled(states, fleet),
            )
        )
        self._publish()
        if old is not None:
            # Who looked the old route up a moment ago is still on its way to the old servers.
            time.sleep(ROUTE_LINGER_SECONDS)
            old.stop(self._rooms.grace_seconds)

    def scale(self) -> None:
        """Take the variants to the weights and counts that were wished."""
        endpoint, fleet = self._endpoint(), self._fleet
        if endpoint.status != UPDATING or fleet is None:
            return
        states = endpoint.variants
        try:
            surplus = fleet.scale({state.name: state.desired_count for state in states})
        except FleetFailed as failure:
            self._roll_back(str(failure))
            return
        self._watch(fleet)
        self._change(
            lambda e: replace(e.moved_to(IN_SERVICE, _now()), variants=_settled(states, fleet))
        )
        self._publish()
        fleet.dismiss(surplus)

    def delete(self) -> None:
        self._routes.remove(self.name)
        self._stop_fleet(self._rooms.grace_seconds)
        self._end_what_was_left()
        self._over = True
        self._forget(self)
        self._rooms.endpoints.delete(self.name)
        self._changes.notify(self._arn)
        self.gone.set()

    # --- parts --------------------------------------------------------------------------------

    def _bring_up(self) -> None:
        """From nothing to InService; the endpoint's own wishes beat its configuration's."""
        endpoint = self._endpoint()
        try:
            fleet = self._new_fleet(endpoint, endpoint.config_name)
            wishes = {state.name: state for state in endpoint.variants}
            fresh = variant_states(fleet.config, self._rooms.models)
            states = tuple(wishes.get(state.name, state) for state in fresh)
            self._change(lambda e: replace(e, variants=states))
            self._build(fleet, states)
        except FleetFailed as failure:
            self._fail(str(failure))
            return
        self._serve(fleet)
        self._change(
            lambda e: replace(
                e.moved_to(IN_SERVICE, _now(), e.failure_reason), variants=_settled(states, fleet)
            )
        )
        self._publish()

    def _new_fleet(self, endpoint: Endpoint, config_name: str) -> Fleet:
        """Raises FleetFailed when the configuration was deleted."""
        try:
            config: EndpointConfig = self._rooms.configs.get(config_name)
        except NotFound:
            raise FleetFailed(f'Could not find endpoint configuration "{config_name}".') from None
        return Fleet(endpoint, config, self._rooms, self._given_up)

    def _build(self, fleet: Fleet, states: tuple[VariantState, ...]) -> None:
        """Raises FleetFailed."""
        counts = {state.name: max(1, state.desired_count) for state in states}
        fleet.build(counts, lambda line: log.info("%s: %s", self.name, line))

    def _serve(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._watch(fleet)

    def _watch(self, fleet: Fleet) -> None:
        for servers in fleet.servers.values():
            for server in servers:
                if not server.watched:
                    server.watch(lambda ended, code: self._orders.put(_Ended(ended, code)))

    def _server_ended(self, news: _Ended) -> None:
        """The service starts a container that ended again; where that does not help, we say so."""
        fleet = self._fleet
        if fleet is None or news.server not in fleet.servers.get(news.server.variant, ()):
            return
        log.warning("%s: a model server ended with exit code %s", self.name, news.code)
        fleet.forget(news.server)
        self._publish()
        try:
            self._start_again(fleet, news.server.variant, f"with exit code {news.code}.")
        except FleetFailed as failure:
            self._fail(str(failure))
            return
        self._watch(fleet)
        self._publish()

    def _start_again(self, fleet: Fleet, variant: str, how: str) -> None:
        """`how` the server ended. One that ends as it starts again has only ended once more.
        Raises FleetFailed."""
        while True:
            now = time.monotonic()
            self._restarts.append(now)
            recent = sum(moment > now - RESTART_WINDOW_SECONDS for moment in self._restarts)
            if recent > MAX_RESTARTS:
                raise FleetFailed(
                    f"The model server ended {recent} times within {RESTART_WINDOW_SECONDS:.0f} s, "
                    f"the last time {how} Please check CloudWatch logs for this endpoint."
                )
            try:
                fleet.restart(variant)
                return
            except ServerEnded as again:
                log.warning("%s: %s", self.name, again)
                how = f"as it started again. {again}"

    def _roll_back(self, reason: str) -> None:
        """Back to what served before. Nothing changes while the emulator ends: the update is
        tried again at the next start."""
        if self._ending is not None:
            return
        self._change(lambda e: e.moved_to(ROLLING_BACK, _now(), reason))
        if self._fleet is None:
            self._change(lambda e: replace(e, next_config_name=None))
            self._publish()
            self._bring_up()
            return
        self._change(
            lambda e: replace(
                e.moved_to(IN_SERVICE, _now(), reason),
                next_config_name=None,
                variants=tuple(_as_it_is(state) for state in e.variants),
            )
        )
        self._publish()

    def _fail(self, reason: str) -> None:
        """Failed for good; but what fails because the emulator ends is tried again."""
        if self._ending is not None:
            return
        self._stop_fleet(0)
        self._change(lambda e: e if e.status == FAILED else e.moved_to(FAILED, _now(), reason))
        self._publish()

    def _fail_when_there_is_room(self, reason: str) -> None:
        """Without this an endpoint stayed Creating, which nobody may delete."""
        while self._ending is None:
            try:
                self._fail(reason)
                return
            except DiskFull:
                time.sleep(_SECONDS_BETWEEN_TRIES)

    def _stop_fleet(self, grace_seconds: float) -> None:
        if self._fleet is not None:
            self._fleet.stop(grace_seconds)
            self._fleet = None

    def _end_what_was_left(self) -> None:
        """Servers and folders of an earlier emulator that no fleet of ours knows."""
        for record in self._rooms.runs.of(self._arn):
            run = self._rooms.backend.find(record.id)
            if run is not None:
                run.stop(0)
                run.close()
            self._rooms.runs.remove(record.id)
        shutil.rmtree(self._rooms.folder / self.name, ignore_errors=True)

    def _publish(self, endpoint: Endpoint | None = None) -> None:
        """Lead invocations to the endpoint as it is stored, or as it is about to be."""
        endpoint = endpoint or self._endpoint()
        if endpoint.status == DELETING:
            return
        weights = {state.name: state.current_weight for state in endpoint.variants}
        servers = self._fleet.routes(weights) if self._fleet is not None else ()
        self._routes.publish(
            EndpointRoute(self.name, self._arn, endpoint.status, self._log_group, servers)
        )

    def _endpoint(self) -> Endpoint:
        return self._rooms.endpoints.get(self.name)

    def _change(self, how: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Save a change, redone when the API saved meanwhile. An endpoint that is being deleted
        is left as it is: the order to delete it is in the queue."""
        while True:
            current = self._endpoint()
            wanted = current if current.status == DELETING else how(current)
            if wanted is current:
                return current
            if wanted.status == IN_SERVICE:
                # Who reads InService may invoke at once: the way there is open before it is said.
                self._publish(wanted)
            try:
                saved = self._rooms.endpoints.save(wanted)
            except Outdated:
                continue
            self._changes.notify(self._arn)
            return saved


def _retained(endpoint: Endpoint, states: tuple[VariantState, ...]) -> tuple[VariantState, ...]:
    """What an update keeps of variants that go on under their name (API_UpdateEndpoint.html,
    RetainAllVariantProperties and ExcludeRetainedVariantProperties): nothing, unless asked."""
    if not endpoint.request.get("RetainAllVariantProperties"):
        return states
    excluded = {
        entry["VariantPropertyType"]
        for entry in endpoint.request.get("ExcludeRetainedVariantProperties", ())
    }
    before = {state.name: state for state in endpoint.variants}

    def kept(state: VariantState) -> VariantState:
        old = before.get(state.name)
        if old is None:
            return state
        if "DesiredWeight" not in excluded:
            state = replace(
                state, current_weight=old.desired_weight, desired_weight=old.desired_weight
            )
        if "DesiredInstanceCount" not in excluded:
            state = replace(state, desired_count=old.desired_count)
        return state

    return tuple(kept(state) for state in states)


def _with_wishes(states: tuple[VariantState, ...], wanted: Weights) -> tuple[VariantState, ...]:
    wished = []
    for state in states:
        weight, count = wanted.get(state.name, (None, None))
        wished.append(
            replace(
                state,
                desired_weight=state.desired_weight if weight is None else weight,
                desired_count=state.desired_count if count is None else count,
            )
        )
    return tuple(wished)


def _as_it_is(state: VariantState) -> VariantState:
    """A wish that could not be fulfilled is no wish any more."""
    return replace(
        state, desired_weight=state.current_weight, desired_count=max(1, state.current_count)
    )


def _settled(states: tuple[VariantState, ...], fleet: Fleet) -> tuple[VariantState, ...]:
    return tuple(
        replace(s, current_weight=s.desired_weight, current_count=len(fleet.servers[s.name]))
        for s in states
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
