"""Endpoints: created, updated, deleted and adopted, each by the thread of its own keeper."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable

from sagedock.domain.hosting import Endpoint
from sagedock.domain.routes import EndpointRoute, Routes
from sagedock.domain.states import DELETING, FAILED
from sagedock.lifecycle.changes import Changes
from sagedock.lifecycle.endpoint_keeper import EndpointKeeper, Order, Weights
from sagedock.lifecycle.fleet import HostingRooms
from sagedock.lifecycle.supervisor import Supervisor

DELETE_PATIENCE_SECONDS = 2.0


class HostingLifecycle:
    """Hands orders to the keepers; every method but `delete` returns at once."""

    def __init__(
        self, rooms: HostingRooms, routes: Routes, changes: Changes, supervisor: Supervisor
    ) -> None:
        self._rooms, self._routes, self._changes = rooms, routes, changes
        self._supervisor = supervisor
        self._keepers: dict[str, EndpointKeeper] = {}
        self._lock = threading.Lock()

    def create(self, endpoint: Endpoint) -> None:
        """Bring a stored endpoint into service."""
        self._order(endpoint, lambda keeper: keeper.create)

    def update(self, endpoint: Endpoint) -> None:
        """Take it to `next_config_name`; it was saved as Updating."""
        self._order(endpoint, lambda keeper: keeper.update)

    def set_weights(self, endpoint: Endpoint, wanted: Weights) -> None:
        """Change weights and instance counts of variants (None: as it is); it was saved as
        Updating. The wish is on disk when this returns, for a restart must not forget it."""
        with self._lock:
            keeper = self._keeper(endpoint)
        keeper.wish(wanted)
        self._order(endpoint, lambda keeper: keeper.scale)

    def delete(self, endpoint: Endpoint) -> None:
        """Stop its servers and forget it; it was saved as Deleting.

        Waits for the end, DELETE_PATIENCE_SECONDS at the most: then a list, or a new endpoint of
        the same name, right after the call finds it gone. Servers that still answer take longer.
        """
        self._delete(endpoint).gone.wait(DELETE_PATIENCE_SECONDS)

    def _delete(self, endpoint: Endpoint) -> EndpointKeeper:
        keeper = self._order(endpoint, lambda keeper: keeper.delete)
        keeper.give_up()
        return keeper

    def announce(self, endpoints: Iterable[Endpoint]) -> None:
        """Before our own start: whoever invokes an endpoint learns that it is there."""
        known = {endpoint.name for endpoint in endpoints}
        for endpoint in endpoints:
            self._routes.publish(
                EndpointRoute(endpoint.name, endpoint.arn, endpoint.status, endpoint.log_group)
            )
        for folder in self._rooms.folder.glob("*"):
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)

    def adopt(self, endpoints: Iterable[Endpoint]) -> None:
        """After our own restart: every endpoint goes on, or is brought up again."""
        for endpoint in endpoints:
            if endpoint.status == DELETING:
                self._delete(endpoint)
            elif endpoint.status != FAILED:
                self._order(endpoint, lambda keeper: keeper.adopt)

    def stop_all(self, grace_seconds: float) -> None:
        """The emulator ends: servers stop, endpoints stay on record for the next start."""
        for keeper in self._all():
            keeper.close(grace_seconds)

    def leave_all(self) -> None:
        """The emulator ends, the servers do not: the next start takes them up."""
        for keeper in self._all():
            keeper.leave()

    def _all(self) -> list[EndpointKeeper]:
        with self._lock:
            return list(self._keepers.values())

    def _order(
        self, endpoint: Endpoint, order: Callable[[EndpointKeeper], Order]
    ) -> EndpointKeeper:
        with self._lock:
            keeper = self._keeper(endpoint)
            keeper.put(order(keeper))
        return keeper

    def _keeper(self, endpoint: Endpoint) -> EndpointKeeper:
        """The endpoint's keeper, with its thread; called under the lock."""
        keeper = self._keepers.get(endpoint.name)
        if keeper is None:
            keeper = EndpointKeeper(
                endpoint, self._rooms, self._routes, self._changes, self._forget
            )
            self._keepers[endpoint.name] = keeper
            self._supervisor.spawn(endpoint.arn, keeper.run)
        return keeper

    def _forget(self, keeper: EndpointKeeper) -> None:
        """It takes no more orders; a new endpoint of the name gets a keeper of its own."""
        with self._lock:
            if self._keepers.get(keeper.name) is keeper:
                del self._keepers[keeper.name]
