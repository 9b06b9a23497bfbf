"""GPUs in the engine's words: what to ask for, and what its refusals mean.

There are two ways. "nvidia": the engine's own driver for NVIDIA's Container Toolkit, any engine
from 19.03 on; in the container its hook sets NVIDIA_VISIBLE_DEVICES and
NVIDIA_DRIVER_CAPABILITIES. "cdi": device names of a CDI specification, engines from 25 on; the
specification says what the container gets. `engine_gpus` finds out which one an engine takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from docker.types import DeviceRequest

from sagedock.backends.docker.engine import EngineFacts
from sagedock.backends.gpus import Gpu
from sagedock.errors import RunFailedToStart

Way = Literal["nvidia", "cdi"]

WITHOUT_GPUS: Final[Mapping[str, str]] = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Environment of a run that gets none. Images made from NVIDIA's say "all", and an engine whose
default runtime is NVIDIA's would listen to them."""

ALL: Final = "all"
TOOLKIT_MISSING: Final = (
    "the Docker engine cannot hand out GPUs: it has no NVIDIA Container Toolkit"
)
INSTALL_TOOLKIT: Final = (
    "Install the package nvidia-container-toolkit on the engine's machine (docs.nvidia.com/"
    "datacenter/cloud-native/container-toolkit), then `sudo nvidia-ctk runtime configure "
    "--runtime=docker` and `sudo systemctl restart docker`"
)
PODMAN: Final = (
    "Podman's Docker-compatible socket takes a request for GPUs and ignores it, so that the job "
    "would run without one. Use a Docker engine for GPUs, or a CPU instance type"
)
NO_DRIVER: Final = "could not select device driver"
"""What an engine says that has none for the request."""

_KIND: Final = "nvidia.com/gpu"


def device_requests(
    gpus: Iterable[Gpu], facts: EngineFacts, way: Way = "nvidia"
) -> list[DeviceRequest]:
    """For `device_requests` of a container: these GPUs and no others; nothing for none. Raises
    RunFailedToStart for an engine that would drop the request."""
    return _requests([gpu.uuid for gpu in gpus], facts, way)


def all_gpus(facts: EngineFacts, way: Way) -> list[DeviceRequest]:
    """A request for whatever there is."""
    return _requests([ALL], facts, way)


def ways(facts: EngineFacts) -> tuple[Way, ...]:
    """What may work on this engine, the usual one first: no answer of the engine's tells whether
    its driver for the toolkit is there."""
    if facts.is_podman:
        return ()
    return ("nvidia", "cdi") if facts.cdi_folders else ("nvidia",)


def why_not(said: str) -> str | None:
    """What an engine's sentence means for GPUs and what mends it, without a full stop; None where
    it is about something else."""
    if NO_DRIVER in said:
        return f"{TOOLKIT_MISSING}. {INSTALL_TOOLKIT}"
    if "CDI" in said and "unresolvable" in said:
        return (
            f"the engine's CDI specification does not have the GPU ({said}). Write it anew: `sudo "
            "nvidia-ctk cdi generate --device-name-strategy=index --device-name-strategy=uuid "
            "--output=/etc/cdi/nvidia.yaml`"
        )
    if "nvidia-container-cli" in said or "nvml" in said.lower():
        return (
            f"NVIDIA's Container Toolkit is there and its driver does not answer ({said}). See "
            "what `nvidia-smi` says on the engine's machine"
        )
    return None


def _requests(ids: list[str], facts: EngineFacts, way: Way) -> list[DeviceRequest]:
    """By ids alone: an engine refuses a count beside them."""
    if not ids:
        return []
    if facts.is_podman:
        raise RunFailedToStart(f"{PODMAN}.")
    if way == "cdi":
        return [DeviceRequest(driver="cdi", device_ids=[f"{_KIND}={name}" for name in ids])]
    capabilities = [["gpu", "compute", "utility"]]
    return [DeviceRequest(driver="nvidia", device_ids=ids, capabilities=capabilities)]
