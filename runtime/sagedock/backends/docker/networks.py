"""Networks of jobs with several hosts, where the hosts resolve each other by name.

One per job, with a small subnet of its own: the engine's default pools hold thirty networks. Each
host has its address from the start and knows those of the others: the engine's own names come and
go with the containers, and who asks for a host that has just ended would wait for it in vain.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import docker.types
from docker.errors import APIError, NotFound

from sagedock.backends.base import RunSpec
from sagedock.backends.docker.engine import GONE, Engine, explanation
from sagedock.backends.docker.labels import HOME, NETWORK
from sagedock.backends.docker.surroundings import JOB_NETWORKS
from sagedock.errors import RunFailedToStart

log = logging.getLogger("sagedock.docker")

_PREFIX = 28
"""Twelve hosts each, the bridge and the emulator; and 4,096 networks."""

_INTERNAL = {"com.docker.network.bridge.inhibit_ipv4": "true"}
"""Without an address of the bridge's own, an internal network reaches no service of the machine."""


@dataclass(frozen=True, slots=True)
class JobNetwork:
    """`addresses`: host → its address, of all hosts of the job."""

    name: str
    addresses: Mapping[str, str]


class JobNetworks:
    """Makes a job's network with its first host, and removes it with the last.

    The hosts of a job are the runs that have their labels in common. `me` is the emulator's own
    container, which joins too, unless the job is isolated.
    """

    def __init__(self, engine: Engine, owner: str, me: str | None) -> None:
        self._engine, self._owner, self._me = engine, owner, me
        self._lock = threading.Lock()
        self._members: dict[str, set[str]] = {}
        self._subnets: dict[str, ipaddress.IPv4Network] = {}

    def join(self, spec: RunSpec) -> JobNetwork | None:
        """The network for one host of a job; None for a job of one host. Raises
        RunFailedToStart."""
        if len(spec.hosts) < 2:
            return None
        name = self._name(spec.labels)
        with self._lock:
            if not self._members.get(name) or name not in self._subnets:
                self._subnets[name] = self._make(name, spec.isolated)
            self._members.setdefault(name, set()).add(spec.name)
            subnet = self._subnets[name]
        # The first address is the bridge's own, the last the emulator's.
        return JobNetwork(
            name, {host: str(subnet[number]) for number, host in enumerate(spec.hosts, start=2)}
        )

    def hold(self, name: str, member: str) -> None:
        """A run found after a restart is in that network."""
        with self._lock:
            self._members.setdefault(name, set()).add(member)

    def leave(self, name: str, member: str) -> None:
        with self._lock:
            members = self._members.get(name, set())
            members.discard(member)
            if not members:
                self._members.pop(name, None)
                self._subnets.pop(name, None)
                self._remove(name)

    def clean(self) -> None:
        """Remove networks of ours that no run is in."""
        with self._lock:
            for found in self._engine.client.networks.list(
                filters={"label": f"{HOME}={self._owner}"}
            ):
                if found.name not in self._members:
                    self._remove(str(found.name))

    def _name(self, labels: Mapping[str, str]) -> str:
        text = repr(sorted(labels.items()))
        return f"sagedock-{self._owner}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    def _make(self, name: str, isolated: bool) -> ipaddress.IPv4Network:
        self._remove(name)  # of an earlier job of the same name whose end was cut short
        client = self._engine.client
        start = int(hashlib.sha256(name.encode()).hexdigest()[:4], 16)
        subnets = list(ipaddress.IPv4Network(JOB_NETWORKS).subnets(new_prefix=_PREFIX))
        start %= len(subnets)
        for subnet in itertools.chain(subnets[start:], subnets[:start]):
            pool = docker.types.IPAMPool(subnet=str(subnet))
            try:
                made = client.networks.create(
                    name,
                    ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                    labels={HOME: self._owner, NETWORK: name},
                    internal=isolated,
                    options=_INTERNAL if isolated else None,
                    check_duplicate=True,
                )
                break
            except APIError as error:
                if "overlap" not in explanation(error):
                    raise RunFailedToStart(
                        f"The Docker engine made no network for the job's hosts: "
                        f"{explanation(error)}."
                    ) from error
        else:
            raise RunFailedToStart(
                f"No subnet of {JOB_NETWORKS} is free for the job's hosts. Remove networks that "
                "nothing uses: docker network prune."
            )
        if self._me is not None and not isolated:
            made.connect(self._me, ipv4_address=str(subnet[-2]))
        return subnet

    def _remove(self, name: str) -> None:
        def remove() -> None:
            found = self._engine.client.networks.get(name)
            for member in found.attrs.get("Containers") or ():
                found.disconnect(member, force=True)
            found.remove()

        try:
            self._engine.patiently(remove)
        except NotFound:
            return
        except (APIError, *GONE) as error:
            log.warning("The network %s stays: %s", name, explanation(error))
