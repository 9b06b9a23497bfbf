"""Where we stand to the engine: in one of its containers, beside it, or far away.

Two questions, both answered by trying, once: which of our folders can the engine show to a run, and
by which addresses do runs and we reach each other?
"""

from __future__ import annotations

import io
import ipaddress
import logging
import os
import re
import secrets
import socket
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from docker.errors import APIError, NotFound
from docker.types import Mount as EngineMount

from sagedock.backends.base import Mount
from sagedock.backends.docker.engine import Engine

log = logging.getLogger("sagedock.docker")

LOOPBACK = "127.0.0.1"
DESKTOP_HOST = "host.docker.internal"
JOB_NETWORKS = "10.213.0.0/16"
_SUBPATH_API = (1, 45)
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_PROBE = "/sagedock-probe"


# --- folders --------------------------------------------------------------------------------------


class Sight(Protocol):
    """How the engine sees our folders; `shows_files` tells whether it can mount a single file."""

    @property
    def shows_files(self) -> bool: ...

    def show(self, mount: Mount) -> EngineMount | None:
        """The engine's words for a mount; None when it cannot be shown and has to be copied."""


class HostSight:
    """The engine's machine has our paths."""

    shows_files = True

    def show(self, mount: Mount) -> EngineMount | None:
        return _bind(os.path.realpath(mount.outside), mount)


class SiblingSight:
    """We are in a container of the engine ourselves: our own mounts, handed on."""

    def __init__(self, own_mounts: list[Mapping[str, Any]], has_subpath: bool) -> None:
        self._mounts = sorted(own_mounts, key=lambda mount: -len(mount["Destination"]))
        self._has_subpath = has_subpath
        # A subpath of a volume is a folder; a bind may be a file.
        self.shows_files = not has_subpath

    def show(self, mount: Mount) -> EngineMount | None:
        path = os.path.realpath(mount.outside)
        for own in self._mounts:
            place = own["Destination"].rstrip("/")
            if path != place and not path.startswith(place + "/"):
                continue
            rest = path[len(place) :].lstrip("/")
            if own["Type"] == "volume" and (self._has_subpath or not rest):
                return _volume(own["Name"], rest, mount)
            if own["Type"] in ("bind", "volume"):
                # A volume's Source is its folder on the engine's machine, which the engine opens.
                return _bind(os.path.join(own["Source"], rest).rstrip("/"), mount)
            return None
        return None


class NoSight:
    """A remote engine, or a folder that Docker Desktop does not share: everything is copied."""

    shows_files = False

    def show(self, mount: Mount) -> EngineMount | None:
        return None


def look(engine: Engine, me: Mapping[str, Any] | None, folder: Path, image: str) -> Sight:
    """How the engine sees `folder`, tried with a file of ours: a container of `image` that is never
    started shows it, or does not. Rules about names would be wrong for nested engines."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    probe = folder / f".probe-{token}"
    probe.mkdir()
    (probe / "token").write_text(token, encoding="ascii")
    candidates: list[Sight] = [HostSight()]
    if me is not None:
        candidates.insert(0, SiblingSight(me["Mounts"], engine.facts.api >= _SUBPATH_API))
    try:
        for sight in candidates:
            if _shows(engine, sight, probe, image, token):
                return sight
    finally:
        (probe / "token").unlink()
        probe.rmdir()
    return NoSight()


def _shows(engine: Engine, sight: Sight, probe: Path, image: str, token: str) -> bool:
    shown = sight.show(Mount(probe, _PROBE, True))
    if shown is None:
        return False
    try:
        box = engine.client.containers.create(
            image, ["true"], mounts=[shown], network_mode="none", labels={"sagedock.probe": token}
        )
    except APIError as error:
        log.debug("%s is not seen by the engine: %s", probe, error.explanation)
        return False
    try:
        chunks, _ = box.get_archive(f"{_PROBE}/token")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile("token")
            return file is not None and file.read() == token.encode()
    except (APIError, tarfile.TarError, KeyError):
        return False
    finally:
        box.remove(force=True)


def _bind(source: str, mount: Mount) -> EngineMount:
    return EngineMount(mount.inside, source, type="bind", read_only=mount.read_only)


def _volume(name: str, subpath: str, mount: Mount) -> EngineMount:
    made = EngineMount(mount.inside, name, type="volume", read_only=mount.read_only, no_copy=True)
    if subpath:
        made.setdefault("VolumeOptions", {})["Subpath"] = subpath
    return made


# --- addresses ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """How runs and we reach each other.

    `network` is the network that single runs join (None: the engine's default bridge); `me` our own
    container's id where we are in one; `emulator` the host name or address of ours that runs use;
    `publishes` the address on which ports have to be published because containers cannot be
    reached by their own, and `published_at` where we then find them; `neighbours` the networks from
    which runs come, for whoever listens on `emulator`.
    """

    emulator: str
    network: str | None = None
    me: str | None = None
    publishes: str | None = None
    published_at: str = LOOPBACK
    neighbours: tuple[str, ...] = ()


def neighbourhood(engine: Engine, me: Mapping[str, Any] | None) -> Neighbourhood:
    """In a container: the network that it is in. On the engine's machine: the containers' own
    addresses. Else published ports, and Docker Desktop's name for the machine."""
    if me is not None:
        return _as_sibling(me)
    if engine.is_remote:
        # Also where the address is loopback: a tunnel ends there just as well as an engine.
        host = str(urlsplit(engine.address).hostname)
        return Neighbourhood(_our_address_towards(host), publishes="0.0.0.0", published_at=host)
    gateway, subnets = _bridge(engine)
    if gateway and _is_ours(gateway):
        return Neighbourhood(gateway, neighbours=(*subnets, JOB_NETWORKS))
    return Neighbourhood(DESKTOP_HOST, publishes=LOOPBACK)


def own_container(engine: Engine) -> Mapping[str, Any] | None:
    """The engine's record of the container that we are in; None when we are in none of its."""
    if not (os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")):
        return None
    for candidate in _own_ids():
        try:
            found: Mapping[str, Any] = engine.client.api.inspect_container(candidate)
            return found
        except NotFound:
            continue
    return None


def place_of(home: Path, me: Mapping[str, Any] | None) -> str:
    """Where a home lies as only one does on the engine's machine. In containers all homes may be
    called /state: there the place is what is mounted at it, or the container itself."""
    if me is None:
        return str(home)
    path = os.path.realpath(home)
    for own in sorted(me["Mounts"], key=lambda mount: -len(mount["Destination"])):
        place = own["Destination"].rstrip("/")
        if own["Type"] in ("bind", "volume") and (path == place or path.startswith(place + "/")):
            return f"{own['Source']}{path[len(place) :]}"
    return f"{me['Id']}:{path}"


def _own_ids() -> Iterator[str]:
    """The engine binds its hosts files from …/containers/ID/…, which mountinfo shows whatever the
    hostname and cgroup version; then the cgroup's path (version 1), then the hostname."""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        for line in lines:
            root, target = line.split()[3:5]
            if target in ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf"):
                yield from _CONTAINER_ID.findall(root)
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        for line in lines:
            yield from _CONTAINER_ID.findall(line)
    yield socket.gethostname()


def _as_sibling(me: Mapping[str, Any]) -> Neighbourhood:
    """A named network first: names resolve there, and ours is the short id wherever we join."""
    joined: Mapping[str, Any] = me["NetworkSettings"]["Networks"]
    named = [name for name in joined if name not in ("bridge", "host", "none")]
    if named:
        return Neighbourhood(me["Id"][:12], network=named[0], me=me["Id"])
    if "host" in joined:
        return Neighbourhood(LOOPBACK, network="host", me=me["Id"])
    address = joined.get("bridge", {}).get("IPAddress", "")
    return Neighbourhood(address or LOOPBACK, me=me["Id"])


def _bridge(engine: Engine) -> tuple[str, tuple[str, ...]]:
    """Gateway address and subnets of the default bridge; "" where the engine has none."""
    try:
        pools = engine.client.api.inspect_network("bridge")["IPAM"]["Config"] or []
    except APIError:
        return "", ()
    pools = [pool for pool in pools if ":" not in pool.get("Subnet", "")]
    gateway = next((pool["Gateway"] for pool in pools if pool.get("Gateway")), "")
    if not gateway and pools:
        # Engines that never started a container on it do not write the gateway down.
        gateway = str(next(ipaddress.ip_network(pools[0]["Subnet"]).hosts()))
    return gateway, tuple(pool["Subnet"] for pool in pools)


def _is_ours(address: str) -> bool:
    """Whether this machine has `address`, tried by listening there for a moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _our_address_towards(host: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
