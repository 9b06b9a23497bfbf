"""Who may talk to us through a browser: only pages that we served ourselves.

A web page on the internet can make its visitor's browser send requests to 127.0.0.1. Requests to
sagedock are not authenticated (signatures are read, never verified), so such a page could start
jobs, that is: run code. Two fences: requests that a browser marks as coming from another origin
are refused; and, while we listen on loopback only, so is a Host that is no name of this machine
(DNS rebinding makes a foreign name point here, but cannot change what the browser writes as Host).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

AWS_DOMAINS: Final = ("amazonaws.com", "amazonaws.com.cn", "api.aws")
_OURS: Final = ("localhost", "docker.internal", "containers.internal")
_PLAIN_NAME: Final = re.compile(r"[a-z0-9._-]+")
_SIMPLE_NAME: Final = re.compile(r"[a-z0-9_-]+")
_FRIENDLY_SITES: Final = ("same-origin", "none")


def is_aws(host: str) -> bool:
    """True for a host name under one of AWS's API domains."""
    host = host.lower().rstrip(".")
    return bool(_PLAIN_NAME.fullmatch(host)) and _is_under(host, AWS_DOMAINS)


def is_loopback(address: str) -> bool:
    """True for an address, or the name `localhost`, that only this machine can reach."""
    if address == "localhost" or address.endswith(".localhost"):
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


@dataclass(frozen=True, slots=True)
class Door:
    """A second address that we listen on, for runs in containers: the address of this machine in
    the engine's network. Only `neighbours` (networks, as 172.17.0.0/16) come in by it: another
    machine may find a way to an address of ours, whatever its network is."""

    host: str
    neighbours: tuple[str, ...]

    def lets_in(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return peer == self.host or any(
            address in ipaddress.ip_network(network) for network in self.neighbours
        )


class Fence:
    """Decides about requests by their headers (lower-case names).

    `host` is the address or name that the server was told to listen on; `doors` are further ones.
    `published_locally`: we are in a container, and only this machine and the container's neighbours
    reach it. Then names matter as on loopback, and besides those of the machine the neighbours' are
    fine.
    """

    def __init__(
        self, host: str, doors: Iterable[Door] = (), *, published_locally: bool = False
    ) -> None:
        self._configured = host.lower()
        self._doors = {door.host: door for door in doors}
        self._has_neighbours = published_locally
        self._hosts_matter = published_locally or is_loopback(self._configured)
        self._known_hosts: set[str] = set()

    def admits(self, ours: str, peer: str) -> bool:
        """Whether a connection to our address `ours` may come from `peer`."""
        door = self._doors.get(ours)
        return door is None or door.lets_in(peer)

    def refusal(self, headers: Mapping[str, str], is_page_visit: bool = False) -> str | None:
        """Why this request is refused, in one sentence; None when it is welcome.

        `is_page_visit`: the request is for a page that is meant for browsers, so following a link
        to it from anywhere is fine.
        """
        host = headers.get("host", "")
        if not self.knows(host):
            return (
                f"The Host header says {host!r}, which is no name of this machine; sagedock listens"
                f" on {self._configured} and answers to loopback names and AWS host names only."
                " Use 127.0.0.1 or localhost in the endpoint URL."
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return (
                f"The request comes from a web page of another origin, {origin!r}; sagedock answers"
                " programs on this machine and its own pages only."
            )
        site = headers.get("sec-fetch-site")
        if site is None or site in _FRIENDLY_SITES:
            return None
        if is_page_visit and headers.get("sec-fetch-mode") == "navigate":
            return None
        return (
            f"A browser sent this request on behalf of another site (Sec-Fetch-Site: {site});"
            " sagedock answers programs on this machine and its own pages only."
        )

    def knows(self, host: str) -> bool:
        """True when `host`, as in a Host header, may name us."""
        if not self._hosts_matter or host in self._known_hosts:
            return True
        name = _without_port(host.lower())
        known = (
            name in ("", self._configured)
            or name in self._doors
            or is_loopback(name)
            or _is_under(name, _OURS)
            or is_aws(name)
            or (self._has_neighbours and _cannot_be_rebound(name))
        )
        if known and len(self._known_hosts) < 256:
            self._known_hosts.add(host)
        return known


def _cannot_be_rebound(name: str) -> bool:
    """An address, which no foreign page can have as its name unless it was served from there, or a
    name without a dot, as containers call each other: nobody can register one."""
    if _SIMPLE_NAME.fullmatch(name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_under(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith("." + domain) for domain in domains)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
