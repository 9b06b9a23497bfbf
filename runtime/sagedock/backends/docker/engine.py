"""The Docker engine: how to reach it, what it is, and what to say when it does not answer."""

from __future__ import annotations

import functools
import grp
import logging
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException

from sagedock.errors import StartupError

log = logging.getLogger("sagedock.docker")

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_CONNECT_SECONDS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

GONE = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)
"""What docker-py raises when the engine's end of a connection goes away (its own errors are
answers of the engine)."""


class EngineUnavailable(StartupError):
    """No engine answers, or not to us; one sentence with a way out."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine says of itself. `memory_bytes` and `cpus` are those of its machine;
    `architecture` is as in images (amd64, arm64); `api` its API's version, (1, 41) for "1.41"."""

    version: str
    api: tuple[int, ...]
    architecture: str
    operating_system: str
    cpus: int
    memory_bytes: int
    runtimes: frozenset[str]
    cdi_folders: tuple[str, ...]
    is_podman: bool
    is_rootless: bool

    def __str__(self) -> str:
        name = "Podman" if self.is_podman else "Docker"
        return f"{name} {self.version} on {self.operating_system} ({self.architecture})"


class Engine:
    """One engine. `client` has no read time-out, since waits and stops take as long as they take;
    every thread may use it."""

    def __init__(self, client: docker.DockerClient, address: str) -> None:
        self.client, self.address = client, address

    @classmethod
    def connect(cls, address: str | None = None) -> Engine:
        """The engine at `address`, else that of DOCKER_HOST or of the current Docker context.
        Raises EngineUnavailable."""
        address = address or _address()
        try:
            quick = _client(address, timeout=_CONNECT_SECONDS)
            version: str = quick.api.api_version
            quick.close()
            return cls(_client(address, timeout=None, version=version), address)
        except (DockerException, requests.exceptions.RequestException, ValueError) as error:
            raise EngineUnavailable(_why_not(address, error)) from error

    @functools.cached_property
    def facts(self) -> EngineFacts:
        version, info = self.client.version(), self.client.info()
        components = [part.get("Name", "") for part in version.get("Components") or ()]
        return EngineFacts(
            version=version.get("Version", "?"),
            api=tuple(int(part) for part in version["ApiVersion"].split(".")),
            architecture=version.get("Arch", platform.machine()),
            operating_system=info.get("OperatingSystem", "?"),
            cpus=int(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            runtimes=frozenset(info.get("Runtimes") or ()),
            cdi_folders=tuple(info.get("CDISpecDirs") or ()),
            is_podman="Podman Engine" in components,
            is_rootless="name=rootless" in (info.get("SecurityOptions") or ()),
        )

    @property
    def is_remote(self) -> bool:
        """Reached over a network, so that its machine may be another one."""
        return not self.address.startswith(("unix://", "npipe://"))

    def answers(self) -> bool:
        """Whether the engine is there now."""
        try:
            return bool(self.client.ping())
        except (DockerException, requests.exceptions.RequestException):
            return False

    def wait_until_back(self, seconds: float) -> bool:
        """After it went away (a restart, an upgrade): whether it answers within `seconds`."""
        end, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while not self.answers():
            if time.monotonic() + pause > end:
                return False
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        return True

    def close(self) -> None:
        self.client.close()


def explanation(error: Exception) -> str:
    """The engine's own sentence in an error of docker-py's."""
    said = error.explanation if isinstance(error, APIError) else None
    return str(said or error).strip().rstrip(".")


def _client(address: str, timeout: float | None, version: str = "auto") -> docker.DockerClient:
    """TLS settings come from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, as for Docker's own command.
    The pool holds a connection for each container that is followed or waited for."""
    environment = {**os.environ, "DOCKER_HOST": address}
    options: dict[str, Any] = {"timeout": timeout, "version": version, "max_pool_size": 256}
    return docker.DockerClient.from_env(environment=environment, **options)


def _address() -> str:
    """As Docker's command finds it: DOCKER_HOST, then the current context (Docker Desktop's and
    Colima's sockets are contexts), then the usual socket."""
    told = os.environ.get("DOCKER_HOST")
    if told:
        return told
    try:
        context = ContextAPI.get_current_context()
        host = context.Host if context is not None else None
    except Exception as error:  # a broken file under ~/.docker must not break what works without
        log.warning("Docker's current context cannot be read: %s", error)
        host = None
    return host or DEFAULT_SOCKET


def _why_not(address: str, error: Exception) -> str:
    said = str(error)
    if "Permission denied" in said or "PermissionError" in said:
        group = _group_of(address)
        if os.path.exists("/.dockerenv"):
            number = Path(address.removeprefix("unix://")).stat().st_gid
            return (
                f"The Docker engine at {address} is there, but this container may not use it: it "
                f"is not in the socket's group. Say DOCKER_GID={number} in .env beside "
                f"docker-compose.yml, or nothing; without compose, `docker run --group-add "
                f"{number}`."
            )
        return (
            f"The Docker engine at {address} is there, but this user may not use it: the socket "
            f"belongs to the group {group}. Add yourself (`sudo usermod -aG {group} $USER`, then "
            "log in again), or start with --backend process."
        )
    if "FileNotFoundError" in said or "ConnectionRefused" in said or "Connection refused" in said:
        return (
            f"No Docker engine answers at {address}. Start it (`sudo systemctl start docker`, or "
            "Docker Desktop), name another with DOCKER_HOST, or start with --backend process."
        )
    return (
        f"The Docker engine at {address} does not answer: {said}. Name another with DOCKER_HOST, "
        "or start with --backend process."
    )


def _group_of(address: str) -> str:
    """Name of the group that owns a unix socket; "docker" where that cannot be told."""
    try:
        return grp.getgrgid(Path(address.removeprefix("unix://")).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "docker"
