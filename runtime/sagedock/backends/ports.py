"""Free loopback ports for runs."""

from __future__ import annotations

import random
import socket
import threading

from sagedock.backends.base import RunSpec
from sagedock.errors import RunFailedToStart

_Group = tuple[tuple[str, str], ...]

LOOPBACK = "127.0.0.1"
_TRIES = 200


class Ports:
    """Hands out ports that nobody listens on, each once until it is given back.

    They lie below the range from which systems pick ports for outgoing connections, so that
    nothing takes one between our look and the run's own `listen`.
    """

    def __init__(self, first: int = 20000, last: int = 32000) -> None:
        self._range = (first, last)
        self._held: set[int] = set()
        self._lock = threading.Lock()

    def take(self) -> int:
        """Raises RunFailedToStart when none is found."""
        with self._lock:
            for _ in range(_TRIES):
                port = random.randint(*self._range)
                if port not in self._held and _is_free(port):
                    self._held.add(port)
                    return port
        raise RunFailedToStart(
            f"No free port between {self._range[0]} and {self._range[1]} on {LOOPBACK} after "
            f"{_TRIES} tries. End what listens there."
        )

    def hold(self, port: int) -> None:
        """Mark a port that a run found after a restart of ours uses."""
        with self._lock:
            self._held.add(port)

    def give_back(self, *ports: int) -> None:
        with self._lock:
            self._held.difference_update(ports)


class MeetingPoints:
    """One port for all hosts of a job, where the scheduler of MXNet's parameter server listens.

    The hosts of a job are the runs that have their labels in common.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._lock = threading.Lock()
        self._members: dict[_Group, set[str]] = {}
        self._port: dict[_Group, int] = {}

    def enter(self, mark: str, spec: RunSpec) -> int | None:
        """The port for the run of that mark; None for a job of a single host."""
        if len(spec.hosts) < 2:
            return None
        group = tuple(sorted(spec.labels.items()))
        with self._lock:
            if group not in self._port:
                self._port[group] = self._ports.take()
            self._members.setdefault(group, set()).add(mark)
            return self._port[group]

    def leave(self, mark: str) -> None:
        """The last one to leave gives the port back."""
        with self._lock:
            for group in [group for group, marks in self._members.items() if mark in marks]:
                self._members[group].discard(mark)
                if not self._members[group]:
                    del self._members[group]
                    self._ports.give_back(self._port.pop(group))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
