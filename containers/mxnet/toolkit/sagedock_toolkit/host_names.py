"""Names of the job's hosts, where no resolver knows them (SAGEDOCK_HOSTS of the process backend).

In the cloud and in containers `algo-1` resolves. On a bare machine it does not, and user code asks
with `socket.gethostbyname` or connects by name.
"""

from __future__ import annotations

import logging
import os
import time
from types import ModuleType
from typing import Any

from sagedock_toolkit.environment import host_overrides

log = logging.getLogger(__name__)

GIVE_UP_SECONDS = 15 * 60
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 30.0


def answer_for_hosts(socket: ModuleType) -> None:
    """Let the functions of module `socket` know the hosts of SAGEDOCK_HOSTS; no effect without."""
    if not os.environ.get("SAGEDOCK_HOSTS"):
        return
    known = host_overrides()
    module: Any = socket

    for name in ("gethostbyname", "gethostbyname_ex", "getaddrinfo"):
        setattr(module, name, _translating(getattr(module, name), known))
    for name in ("connect", "connect_ex"):
        setattr(module.socket, name, _connecting(getattr(module.socket, name), known))


def _translating(function: Any, known: dict[str, str]) -> Any:
    def ask(host: Any, *more: Any, **named: Any) -> Any:
        return function(known.get(host, host) if isinstance(host, str) else host, *more, **named)

    ask.__name__ = function.__name__
    return ask


def _connecting(method: Any, known: dict[str, str]) -> Any:
    def connect(self: Any, address: Any) -> Any:
        if isinstance(address, tuple) and address and isinstance(address[0], str):
            address = (known.get(address[0], address[0]), *address[1:])
        return method(self, address)

    connect.__name__ = method.__name__
    return connect


def address_of(host: str, current_host: str) -> str:
    """The IP address of a host of this job.

    Another host's name may lag behind its start: asked again for 15 minutes, with waits from 100 ms
    doubling up to 30 s (both toolkits do so). Our own name that nobody knows is loopback.
    Raises OSError when the time is up.
    """
    known = host_overrides().get(host)
    if known:
        return known
    import socket

    deadline = time.monotonic() + GIVE_UP_SECONDS
    wait = FIRST_WAIT_SECONDS
    while True:
        try:
            return socket.gethostbyname(host)
        except OSError as error:
            if host == current_host:
                log.info("The name of this host, %s, is not known here: using 127.0.0.1", host)
                return "127.0.0.1"
            if time.monotonic() > deadline:
                raise OSError(f"host {host!r} cannot be resolved: {error}") from error
        log.info("Host %s cannot be resolved yet", host)
        time.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)
