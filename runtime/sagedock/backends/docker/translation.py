"""A RunSpec in the engine's words: the only place that knows both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker.types

from sagedock.backends.base import RunSpec
from sagedock.backends.docker import labels
from sagedock.backends.docker.local_images import LocalImage
from sagedock.backends.docker.networks import JobNetwork
from sagedock.backends.docker.surroundings import DESKTOP_HOST, Neighbourhood
from sagedock.backends.package_index import pip_variables

GATE = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sagedock")
"""Holds a container that was started ahead until a line comes on its standard input: half of a
start is the network, which then is there already. Only for images of ours, for the shell takes a
program that the kernel refuses (no `#!`) for a script, where the service fails."""

LOG_LIMIT = "1g"
"""json-file on every container, for the machine's own setting may be a driver that cannot be read;
a small limit loses lines under a reader (engine 26.1), none at all is no setting of json-file. (The
driver `local` keeps bytes that are no UTF-8, but drops the end of a line of over 16 KiB.)"""

_MIB = 1024**2
_DROPPED = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP", "SETPCAP", "SYS_CHROOT")
"""Of the engine's default set: what neither training nor a server on port 8080 needs. The service
says nothing about capabilities of its containers."""

_NOFILE = 65_536
_HOSTING_SHM = 64 * _MIB


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the run may use: bytes, and processors (None: all there are)."""

    memory: int | None = None
    cpus: float | None = None
    shared_memory: int = _HOSTING_SHM


@dataclass(frozen=True, slots=True)
class Placement:
    """What the backend decided for one run. `user` is uid:gid, None for the image's own; `owner` is
    who gets the files of a container that runs as root; `mounts` are those that the engine can show
    and `copied` those of the spec that it cannot; `gpus` are UUIDs, which `devices` ask for; `env`
    are variables for any image."""

    image: LocalImage
    home: str
    near: Neighbourhood
    sizes: Sizes
    mounts: tuple[docker.types.Mount, ...] = ()
    copied: tuple[tuple[str, str, bool], ...] = ()
    network: JobNetwork | None = None
    user: str | None = None
    owner: str | None = None
    has_gate: bool = False
    raises_limits: bool = True
    gpus: tuple[str, ...] = ()
    devices: tuple[docker.types.DeviceRequest, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        return self.user is not None and self.user.startswith("0:")


def create_options(spec: RunSpec, place: Placement) -> dict[str, Any]:
    """Keyword arguments of docker-py's `containers.create`."""
    options: dict[str, Any] = {
        "image": place.image.id,
        "name": f"sagedock-{place.home[:6]}-{spec.name}",  # as `docker ps` shows it
        "environment": {**place.env, **toolkit_variables(spec, place), **spec.env},
        "mounts": list(place.mounts),
        "labels": _labels(spec, place),
        "log_config": docker.types.LogConfig(type="json-file", config={"max-size": LOG_LIMIT}),
        "init": not place.image.brings_init and not spec.is_first,
        "security_opt": ["no-new-privileges"],
        "use_config_proxy": True,
        "device_requests": list(place.devices) or None,
        **_command(spec, place),
        **_user(place),
        **_limits(spec, place),
        **_network(spec, place),
    }
    return {name: value for name, value in options.items() if value is not None}


def toolkit_variables(spec: RunSpec, place: Placement) -> dict[str, str]:
    """For images of ours: which framework version was asked for, and a home that can be written;
    for the others nothing, as in the service."""
    image = place.image
    if not image.is_ours:
        return {}
    told = {}
    if image.reference is not None and image.reference.version:
        told["SAGEDOCK_FRAMEWORK_VERSION"] = image.reference.version
    if image.reference is not None and image.reference.is_python2:
        told["SAGEDOCK_PY2"] = "1"
    told["SAGEDOCK_GPU_COUNT"] = str(len(place.gpus))
    if place.user is not None and not place.is_root:
        told.update(HOME="/tmp", USER="sagedock", LOGNAME="sagedock")
    told.update(pip_variables(os.environ, Path.home()))
    return told


def _command(spec: RunSpec, place: Placement) -> dict[str, Any]:
    """The image's entry point with the spec's command (`train`, `serve`), or what the job names:
    ContainerEntrypoint replaces the entry point, ContainerArguments the command."""
    if spec.entrypoint:
        return {"entrypoint": list(spec.entrypoint), "command": list(spec.arguments) or None}
    command = list(spec.arguments or spec.command)
    if place.has_gate:
        words = [*GATE[1:], *place.image.entrypoint, *command]
        return {"entrypoint": [GATE[0]], "command": words, "stdin_open": True}
    return {"command": command}


def _user(place: Placement) -> dict[str, Any]:
    """As the emulator's own user where the image can: then its files are that user's, and nothing
    needs a capability. Group 0 owns what an image of ours lets every user write (its venv)."""
    if place.user is None or place.is_root:
        return {"user": place.user, "cap_drop": list(_DROPPED)}
    return {"user": place.user, "group_add": ["0"], "cap_drop": ["ALL"]}


def _limits(spec: RunSpec, place: Placement) -> dict[str, Any]:
    """Swap is the memory limit again, or the engine would add as much on top. Locked memory is not
    limited for training, as data loaders pin it for devices."""
    sizes = place.sizes
    limits = [docker.types.Ulimit(name="nofile", soft=_NOFILE, hard=_NOFILE)]
    if "train" in spec.command:
        limits.append(docker.types.Ulimit(name="memlock", soft=-1, hard=-1))
    return {
        "mem_limit": sizes.memory,
        "memswap_limit": sizes.memory,
        "nano_cpus": int(sizes.cpus * 1e9) if sizes.cpus else None,
        "shm_size": sizes.shared_memory,
        "ulimits": limits if place.raises_limits else None,
    }


def _network(spec: RunSpec, place: Placement) -> dict[str, Any]:
    near = place.near
    if place.network is not None:
        addresses = dict(place.network.addresses)
        own = docker.types.EndpointConfig(
            "1.30", aliases=[spec.hostname], ipv4_address=addresses.pop(spec.hostname)
        )
        return {
            "hostname": spec.hostname,
            "network": place.network.name,
            "networking_config": {place.network.name: own},
            "extra_hosts": {**addresses, **(_extra_hosts(near) or {})},
        }
    if spec.isolated:
        # Without a network the engine writes no line for the container's own name.
        alone = {spec.hostname: "127.0.0.1"}
        return {"hostname": spec.hostname, "network_mode": "none", "extra_hosts": alone}
    ports = {
        f"{port}/tcp": (near.publishes, None) for port in spec.ports if near.publishes is not None
    }
    if near.network == "host":
        return {"network_mode": "host"}
    return {
        "hostname": spec.hostname,
        "network": near.network,
        "ports": ports or None,
        "extra_hosts": _extra_hosts(near),
    }


def _extra_hosts(near: Neighbourhood) -> dict[str, str] | None:
    return {DESKTOP_HOST: "host-gateway"} if near.emulator == DESKTOP_HOST else None


def _labels(spec: RunSpec, place: Placement) -> dict[str, str]:
    told = {
        labels.HOME: place.home,
        labels.RUN: spec.name,
        labels.WORKDIR: str(spec.workdir),
        **{f"sagedock.{name}": value for name, value in spec.labels.items()},
    }
    if place.network is not None:
        told[labels.NETWORK] = place.network.name
    if spec.isolated and place.network is None:
        told[labels.ISOLATED] = "true"
    if place.copied:
        told[labels.COPIED] = json.dumps(place.copied)
    if place.owner is not None:
        told[labels.OWNER] = place.owner
    if place.gpus:
        told[labels.GPUS] = ",".join(place.gpus)
    if place.sizes.memory is not None:
        told[labels.MEMORY] = str(place.sizes.memory)
    return told
