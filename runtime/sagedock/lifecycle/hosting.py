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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from sagedock.domain.hosting import Endpoint, VariantState
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
from sagedock.lifecycle.fleet import Fleet, FleetFailed, HostingRooms, variant_states
from sagedock.lifecycle.model_server import ServedModel
from sagedock.lifecycle.supervisor import Supervisor
from sagedock.store.resources import NotFound, Outdated

log = logging.getLogger("sagedock.hosting")

MAX_RESTARTS = 3
"""Restarts of a model server in a row before its endpoint is called Failed."""

Weights = Mapping[str, "tuple[float | None, int | None]"]


@dataclass(frozen=True, slots=True)
class _Ended:
    server: ServedModel
    code: int | None


_Order = Callable[[], None]


class HostingLifecycle:
    """Creates, updates, deletes and adopts endpoints."""

    def __init__(
        self, rooms: HostingRooms, routes: Routes, changes: Changes, supervisor: Supervisor
    ) -> None:
        self._rooms, self._routes, self._changes = rooms, routes, changes
        self._supervisor = supervisor
        self._keepers: dict[str, EndpointKeeper] = {}
        self._lock = threading.Lock()

    def create(self, endpoint: Endpoint) -> None:
        """Bring a stored endpoint into service; returns at once."""
        self._keep(endpoint, lambda keeper: keeper.create)

    def update(self, endpoint: Endpoint) -> None:
        """Take it to `next_config_name`; it was saved as Updating."""
        self._keep(endpoint, lambda keeper: keeper.update)

    def set_weights(self, endpoint: Endpoint, wanted: Weights) -> None:
        """Change weights (None: as it is) and instance counts of variants."""
        self._keep(endpoint, lambda keeper: lambda: keeper.set_weights(wanted))

    def delete(self, endpoint: Endpoint) -> None:
        """Stop its servers and forget it; it was saved as Deleting."""
        keeper = self._keep(endpoint, lambda keeper: keeper.delete)
        keeper.give_up()

    def adopt(self) -> None:
        """After our own restart: every endpoint goes on, or is brought up again."""
        for endpoint in self._rooms.endpoints.find():
            if endpoint.status == DELETING:
                self.delete(endpoint)
            elif endpoint.status == FAILED:
                self._publish_state(endpoint)
            else:
                self._publish_state(endpoint)
                self._keep(endpoint, lambda keeper: keeper.adopt)

    def stop_all(self, grace_seconds: float) -> None:
        """The emulator ends: servers stop, endpoints stay on record for the next start."""
        with self._lock:
            keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.close(grace_seconds)

    def _keep(
        self, endpoint: Endpoint, order: Callable[[EndpointKeeper], _Order]
    ) -> EndpointKeeper:
        with self._lock:
            keeper = self._keepers.get(endpoint.name)
            fresh = keeper is None
            if keeper is None:
                keeper = EndpointKeeper(endpoint, self._rooms, self._routes, self._changes)
                self._keepers[endpoint.name] = keeper
            keeper.put(order(keeper))
        if fresh:
            self._supervisor.spawn(endpoint.arn, lambda: self._run(keeper))
        return keeper

    def _run(self, keeper: EndpointKeeper) -> None:
        try:
            keeper.run()
        finally:
            with self._lock:
                if self._keepers.get(keeper.name) is keeper:
                    del self._keepers[keeper.name]

    def _publish_state(self, endpoint: Endpoint) -> None:
        self._routes.publish(
            EndpointRoute(endpoint.name, endpoint.arn, endpoint.status, endpoint.log_group)
        )


class EndpointKeeper:
    """The thread of one endpoint."""

    def __init__(
        self, endpoint: Endpoint, rooms: HostingRooms, routes: Routes, changes: Changes
    ) -> None:
        self.name, self._arn, self._log_group = endpoint.name, endpoint.arn, endpoint.log_group
        self._rooms, self._routes, self._changes = rooms, routes, changes
        self._orders: queue.SimpleQueue[_Order | _Ended | None] = queue.SimpleQueue()
        self._fleet: Fleet | None = None
        self._building: Fleet | None = None
        self._restarts = 0
        self._over = False
        self._closing_grace: float | None = None

    # --- asked by others ----------------------------------------------------------------------

    def put(self, order: _Order) -> None:
        self._orders.put(order)

    def give_up(self) -> None:
        """What is being built will not be needed."""
        building = self._building
        if building is not None:
            building.given_up.set()

    def close(self, grace_seconds: float) -> None:
        self._closing_grace = grace_seconds
        self.give_up()
        self._orders.put(None)

    # --- the thread ---------------------------------------------------------------------------

    def run(self) -> None:
        while not self._over:
            order = self._orders.get()
            if self._closing_grace is not None:
                self._stop_fleet(self._closing_grace)
                return
            try:
                if isinstance(order, _Ended):
                    self._server_ended(order)
                elif order is not None:
                    order()
            except NotFound:
                log.info("Endpoint %s was deleted meanwhile", self.name)
                self._stop_fleet(0)
                return
            except Exception:
                log.exception("Endpoint %s failed through a fault of sagedock's own", self.name)
                self._fail("InternalServerError: We encountered an internal error (sagedock).")

    def create(self) -> None:
        endpoint = self._endpoint()
        self._bring_up(endpoint, endpoint.config_name)

    def adopt(self) -> None:
        endpoint = self._endpoint()
        if endpoint.status == CREATING:
            self._bring_up(endpoint, endpoint.config_name)
            return
        fleet = Fleet(endpoint, self._rooms.configs.get(endpoint.config_name), self._rooms)
        if fleet.adopt():
            self._serve(fleet)
            if endpoint.status not in (IN_SERVICE, UPDATING):
                self._change(lambda e: e.moved_to(IN_SERVICE, _now()))
        else:
            if endpoint.status == IN_SERVICE:
                endpoint = self._change(lambda e: e.moved_to(SYSTEM_UPDATING, _now()))
            if endpoint.status == SYSTEM_UPDATING:
                self._bring_up(endpoint, endpoint.config_name)
        if endpoint.status == UPDATING:
            self.update()
        elif endpoint.status == ROLLING_BACK:
            self._change(lambda e: e.moved_to(IN_SERVICE, _now(), e.failure_reason))
        self._publish()

    def update(self) -> None:
        """New fleet, swap, stop the old one; on failure roll back to what served before."""
        endpoint = self._endpoint()
        if endpoint.status != UPDATING or endpoint.next_config_name is None:
            return
        config = self._rooms.configs.get(endpoint.next_config_name)
        states = variant_states(config, self._rooms.models)
        fleet = Fleet(endpoint, config, self._rooms)
        old = self._fleet
        try:
            self._build(fleet, {state.name: state.desired_count for state in states})
        except FleetFailed as failure:
            self._roll_back(str(failure))
            return
        self._serve(fleet)
        self._change(
            lambda e: replace(
                e.moved_to(IN_SERVICE, _now()),
                config_name=config.name,
                next_config_name=None,
                variants=_counted(states, fleet),
            )
        )
        self._publish()
        if old is not None:
            old.stop(self._rooms.grace_seconds)

    def set_weights(self, wanted: Weights) -> None:
        endpoint = self._endpoint()
        if self._fleet is None:
            return
        states = tuple(
            _with_wish(state, *wanted.get(state.name, (None, None))) for state in endpoint.variants
        )
        try:
            self._fleet.scale({state.name: state.desired_count for state in states})
        except FleetFailed as failure:
            self._roll_back(str(failure))
            return
        self._watch(self._fleet)
        settled = tuple(replace(s, current_weight=s.desired_weight) for s in states)
        fleet = self._fleet
        self._change(
            lambda e: replace(e.moved_to(IN_SERVICE, _now()), variants=_counted(settled, fleet))
        )
        self._publish()

    def delete(self) -> None:
        self._routes.remove(self.name)
        self._stop_fleet(self._rooms.grace_seconds)
        for record in self._rooms.runs.of(self._arn):
            run = self._rooms.backend.find(record.id)
            if run is not None:
                run.stop(0)
                run.close()
            self._rooms.runs.remove(record.id)
        shutil.rmtree(self._rooms.folder / self.name, ignore_errors=True)
        self._rooms.endpoints.delete(self.name)
        self._changes.notify(self._arn)
        self._over = True

    # --- parts --------------------------------------------------------------------------------

    def _bring_up(self, endpoint: Endpoint, config_name: str) -> None:
        try:
            config = self._rooms.configs.get(config_name)
        except NotFound:
            self._fail(f'Could not find endpoint configuration "{config_name}".')
            return
        states = variant_states(config, self._rooms.models)
        wishes = {v.name: v for v in endpoint.variants}
        states = tuple(wishes.get(state.name, state) for state in states)
        self._change(lambda e: replace(e, variants=states))
        self._publish()
        fleet = Fleet(endpoint, config, self._rooms)
        try:
            self._build(fleet, {state.name: max(1, state.desired_count) for state in states})
        except FleetFailed as failure:
            if self._closing_grace is None:
                self._fail(str(failure))
            return
        self._serve(fleet)
        self._change(
            lambda e: replace(e.moved_to(IN_SERVICE, _now()), variants=_counted(states, fleet))
        )
        self._publish()

    def _build(self, fleet: Fleet, counts: Mapping[str, int]) -> None:
        self._building = fleet
        try:
            fleet.build(counts, lambda line: log.info("%s: %s", self.name, line))
        finally:
            self._building = None

    def _serve(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._watch(fleet)

    def _watch(self, fleet: Fleet) -> None:
        for servers in fleet.servers.values():
            for server in servers:
                if not server.watched:
                    server.watch(lambda ended, code: self._orders.put(_Ended(ended, code)))

    def _server_ended(self, news: _Ended) -> None:
        """The service restarts a container that ends; after MAX_RESTARTS in a row we say so."""
        fleet = self._fleet
        if fleet is None or news.server not in fleet.servers.get(news.server.variant, ()):
            return
        log.warning("%s: a model server ended with exit code %s", self.name, news.code)
        fleet.forget(news.server)
        self._publish()
        self._restarts += 1
        try:
            if self._restarts > MAX_RESTARTS:
                raise FleetFailed(f"The model server ended {self._restarts} times.")
            fleet.restart(news.server.variant)
        except FleetFailed as failure:
            self._fail(str(failure))
            return
        self._watch(fleet)
        self._publish()

    def _roll_back(self, reason: str) -> None:
        if self._fleet is None:
            self._fail(reason)
            return
        self._change(lambda e: e.moved_to(ROLLING_BACK, _now(), reason))
        self._change(
            lambda e: replace(e.moved_to(IN_SERVICE, _now(), reason), next_config_name=None)
        )
        self._publish()

    def _fail(self, reason: str) -> None:
        self._stop_fleet(0)
        self._change(lambda e: e.moved_to(FAILED, _now(), reason))
        self._publish()

    def _stop_fleet(self, grace_seconds: float) -> None:
        if self._fleet is not None:
            self._fleet.stop(grace_seconds)
            self._fleet = None

    def _publish(self) -> None:
        endpoint = self._endpoint()
        weights = {state.name: state.current_weight for state in endpoint.variants}
        self._routes.publish(
            EndpointRoute(
                self.name,
                self._arn,
                endpoint.status,
                self._log_group,
                self._fleet.routes(weights) if self._fleet is not None else (),
            )
        )

    def _endpoint(self) -> Endpoint:
        return self._rooms.endpoints.get(self.name)

    def _change(self, how: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Save a change, redone when the API saved meanwhile. An endpoint that is being deleted
        is left as it is: the order to delete it is in the queue."""
        while True:
            current = self._endpoint()
            if current.status == DELETING:
                return current
            try:
                saved = self._rooms.endpoints.save(how(current))
            except Outdated:
                continue
            self._changes.notify(self._arn)
            return saved


def _with_wish(state: VariantState, weight: float | None, count: int | None) -> VariantState:
    return replace(
        state,
        desired_weight=state.desired_weight if weight is None else weight,
        desired_count=state.desired_count if count is None else count,
    )


def _counted(states: tuple[VariantState, ...], fleet: Fleet) -> tuple[VariantState, ...]:
    return tuple(replace(s, current_count=len(fleet.servers[s.name])) for s in states)


def _now() -> datetime:
    return datetime.now(timezone.utc)
