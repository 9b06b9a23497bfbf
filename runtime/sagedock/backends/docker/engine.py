"""The Docker engine: how to reach it, what it is, and what to say when it does not answer."""

from __future__ import annotations

import contextlib
import functools
import grp
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
from docker.context import ContextAPI
from docker.errors import APIError, DockerException

from sagedock.errors import EngineUnavailable

log = logging.getLogger("sagedock.docker")
T = TypeVar("T")

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
PATIENCE_SECONDS = 120.0
"""How long an engine that went away may take to come back (20 s were seen) before what it ran is
given up."""

_CONNECT_SECONDS = 5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

GONE = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)
"""What docker-py raises when the engine's end of a connection goes away (its own errors are
answers of the engine)."""


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


class Witness:
    """Sees the engine's process end, by a connection on which nothing ever comes.

    A new connection tells less: where a service manager holds the socket, one made while the engine
    is restarted is answered by the next engine.
    """

    def __init__(self, client: docker.DockerClient) -> None:
        api = client.api
        nothing = json.dumps({"label": ["sagedock.nothing-has-this-label"]})
        address = f"{api.base_url}/v{api.api_version}/events"
        self._answer = api.get(address, params={"filters": nothing}, stream=True, timeout=None)
        self.ended_at: float | None = None
        """When the connection ended (seconds since 1970); None while it is there."""
        threading.Thread(target=self._listen, name="engine-witness", daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(Exception):
            self._answer.raw.read(1)
        self.ended_at = time.time()


class Engine:
    """One engine. `client` has no read time-out, since waits and stops take as long as they take;
    every thread may use it."""

    def __init__(self, client: docker.DockerClient, address: str) -> None:
        self.client, self.address = client, address
        self.patience_seconds = PATIENCE_SECONDS
        self._lock = threading.Lock()
        self._witness: Witness | None = None

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
            is_there = _is_forbidden(error)
            raise EngineUnavailable(_why_not(address, error), is_there=is_there) from error

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
        """Whether the engine is there now, and stays: asked by a new connection, for one that is
        being stopped still serves those that it has."""
        try:
            quick = _client(self.address, _CONNECT_SECONDS, self.client.api.api_version)
            try:
                return bool(quick.ping())
            finally:
                quick.close()
        except (DockerException, requests.exceptions.RequestException):
            return False

    def witness(self) -> Witness:
        """One whose connection is there. Raises as every request does."""
        with self._lock:
            if self._witness is None or self._witness.ended_at is not None:
                self._witness = Witness(self.client)
            return self._witness

    def wait_until_back(self) -> bool:
        """After it went away (a restart, an upgrade): whether it answers within our patience."""
        end, pause = time.monotonic() + self.patience_seconds, _FIRST_PAUSE
        while not self.answers():
            if time.monotonic() + pause > end:
                return False
            time.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)
        return True

    def patiently(self, ask: Callable[[], T]) -> T:
        """What `ask` gives, which is asked again after the engine was away. Raises what the engine
        refuses, and one of GONE when it does not come back."""
        end = time.monotonic() + self.patience_seconds
        while True:
            try:
                return ask()
            except GONE:
                if time.monotonic() > end or not self.wait_until_back():
                    raise

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
    if _is_forbidden(error):
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


def _is_forbidden(error: Exception) -> bool:
    """docker-py keeps of the cause its text alone."""
    return "Permission denied" in str(error) or "PermissionError" in str(error)


def _group_of(address: str) -> str:
    """Name of the group that owns a unix socket; "docker" where that cannot be told."""
    try:
        return grp.getgrgid(Path(address.removeprefix("unix://")).stat().st_gid).gr_name
    except (OSError, KeyError):
        return "docker"
