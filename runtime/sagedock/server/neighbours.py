"""Whose tunnels the proxy opens: this machine's own programs', and in a container its network's.

A container's neighbours are who is on the network by which it reaches the world. Networks that it
joins besides are not: those of isolated jobs must not get out through us.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

from sagedock.server.origins import is_loopback

_UP, _GATEWAY = 0x1, 0x2
_ROUTES: Final = Path("/proc/net/route")


class Neighbours:
    """This machine, and `networks`."""

    def __init__(self, networks: tuple[ipaddress.IPv4Network, ...] = ()) -> None:
        self._networks = networks

    @classmethod
    def of_this_container(cls, routes: Path = _ROUTES) -> Neighbours:
        """The networks of the interface that leads to the world, as they are now."""
        try:
            lines = routes.read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no Linux
            return cls()
        rows = [line.split() for line in lines]
        world = {row[0] for row in rows if int(row[3], 16) & _GATEWAY and row[1] == "00000000"}
        near = [
            ipaddress.IPv4Network((_address(row[1]), _address(row[7])))
            for row in rows
            if row[0] in world and not int(row[3], 16) & _GATEWAY and int(row[3], 16) & _UP
        ]
        return cls(tuple(near))

    def has(self, address: str) -> bool:
        """Whether a connection from `address` is one of theirs."""
        if is_loopback(address):
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _address(column: str) -> str:
    """The kernel writes addresses as numbers in its own byte order."""
    return socket.inet_ntoa(struct.pack("=L", int(column, 16)))
