"""The NVIDIA GPUs of this machine: by NVML, or by what nvidia-smi prints.

Nothing here raises: no driver is no GPU, and a driver that fails says why in `Discovery.trouble`.
What an engine's containers can use is another question, which `docker/engine_gpus` asks it; the
same text is printed there and read by `parse`. `gpu_rules` says who gets a GPU, `gpu_pool` which.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_SECONDS: Final = 20
_FORMAT: Final = "--format=csv,noheader"
SCRIPT: Final = (
    f"nvidia-smi --query-gpu=index,uuid,name,compute_cap,memory.total {_FORMAT}"
    f" || nvidia-smi --query-gpu=index,uuid,name,memory.total {_FORMAT}; nvidia-smi -L"
)
"""For `sh -c`; prints what `parse` reads. Drivers before R510 do not know compute_cap, and only
-L lists the devices of a GPU that is split (MIG)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, or one MIG device of one: what a run can be given.

    `index` is nvidia-smi's, of a MIG device that of its GPU. `compute_capability` ((8, 6) for
    "8.6") and `memory_bytes` are None where the driver does not say.
    """

    index: int
    uuid: str
    name: str
    compute_capability: tuple[int, int] | None
    memory_bytes: int | None

    @property
    def architecture(self) -> str:
        """The machine code it runs, as compilers name it: sm_86. "" where it is not known."""
        if self.compute_capability is None:
            return ""
        major, minor = self.compute_capability
        return f"sm_{major}{minor}"

    def __str__(self) -> str:
        return f"{self.name} ({self.architecture})" if self.architecture else self.name


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found. `trouble` is the driver's own sentence where it is there and fails."""

    gpus: tuple[Gpu, ...] = ()
    trouble: str = ""


def discover() -> Discovery:
    """The GPUs of the machine we run on."""
    found = by_nvml()
    return by_nvidia_smi() if found is None else found


def parse(printed: str) -> tuple[Gpu, ...]:
    """The GPUs in what SCRIPT printed. Lines that are no GPU (warnings, errors) are passed over."""
    lines = printed.splitlines()
    found = [gpu for line in lines if (gpu := _row(line)) is not None]
    split = _mig_devices(lines)
    return tuple(piece for gpu in found for piece in _pieces(gpu, split.get(gpu.uuid, [])))


_ROW: Final = re.compile(
    r"(?P<index>\d+),\s*(?P<uuid>GPU-[\w-]+),\s*(?P<name>.+?)"
    r"(?:,\s*(?P<capability>\d+\.\d+|\[[^\]]*\]))?,\s*(?P<memory>\d+|\[[^\]]*\])(?:\s*MiB)?"
)
_WHOLE: Final = re.compile(r"GPU \d+: .*\(UUID: (?P<uuid>GPU-[\w-]+)\)")
_PIECE: Final = re.compile(
    r"MIG (?P<profile>\S+)\s+Device\s+\d+:\s*\(UUID: (?P<uuid>MIG-[\w/-]+)\)"
)


def _row(line: str) -> Gpu | None:
    match = _ROW.fullmatch(line.strip())
    if match is None:
        return None
    capability, memory = match["capability"] or "", match["memory"]
    major, point, minor = capability.partition(".")
    return Gpu(
        index=int(match["index"]),
        uuid=match["uuid"],
        name=match["name"],
        compute_capability=(int(major), int(minor)) if point else None,
        memory_bytes=int(memory) * 1024**2 if memory.isdigit() else None,
    )


def _mig_devices(lines: list[str]) -> dict[str, list[tuple[str, str]]]:
    """UUID of a GPU → (profile, UUID) of each of its MIG devices, as -L lists them below it."""
    found: dict[str, list[tuple[str, str]]] = {}
    whole = ""
    for line in map(str.strip, lines):
        if match := _WHOLE.fullmatch(line):
            whole = match["uuid"]
        elif match := _PIECE.fullmatch(line):
            found.setdefault(whole, []).append((match["profile"], match["uuid"]))
    return found


def _pieces(gpu: Gpu, pieces: list[tuple[str, str]]) -> Iterator[Gpu]:
    """The GPU, or its MIG devices instead: CUDA cannot use a split one as a whole."""
    if not pieces:
        yield gpu
    for profile, uuid in pieces:
        yield Gpu(gpu.index, uuid, f"{gpu.name} MIG {profile}", gpu.compute_capability, None)


def by_nvidia_smi() -> Discovery:
    if shutil.which("nvidia-smi") is None:
        return Discovery()
    try:
        done = subprocess.run(
            ["sh", "-c", SCRIPT],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Discovery(trouble=f"nvidia-smi does not answer within {_SECONDS} s")
    except OSError as error:
        return Discovery(trouble=f"nvidia-smi cannot be run: {error}")
    gpus = parse(done.stdout)
    return Discovery(gpus) if gpus else Discovery(trouble=complaint(done.stdout + done.stderr))


def complaint(printed: str) -> str:
    """The first thing that SCRIPT said where it listed no GPU."""
    said = (line.strip().rstrip(".") for line in printed.splitlines())
    return next((line for line in said if line), "nvidia-smi lists no GPU")


def by_nvml() -> Discovery | None:
    """None where NVML cannot be loaded. Imported here, since it takes longer than all else that a
    machine without a GPU needs for its start."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return None
    except pynvml.NVMLError as error:
        return Discovery(trouble=_said(error))
    try:
        return _devices(pynvml)
    except pynvml.NVMLError as error:
        return Discovery(trouble=_said(error))
    finally:
        pynvml.nvmlShutdown()


def _devices(nvml: Any) -> Discovery:
    gpus: list[Gpu] = []
    trouble = ""
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            gpus.extend(_device(nvml, index))
        except nvml.NVMLError as error:  # one that fell off the bus does not take the others along
            trouble = _said(error, f" of GPU {index}")
    return Discovery(tuple(gpus), trouble)


def _device(nvml: Any, index: int) -> Iterator[Gpu]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    for piece in _mig_handles(nvml, handle) or [handle]:
        yield Gpu(
            index=index,
            uuid=_text(nvml.nvmlDeviceGetUUID(piece)),
            name=_text(nvml.nvmlDeviceGetName(piece)),
            compute_capability=(int(major), int(minor)),
            memory_bytes=_memory(nvml, piece),
        )


def _mig_handles(nvml: Any, handle: Any) -> list[Any]:
    try:
        enabled, _ = nvml.nvmlDeviceGetMigMode(handle)
        places = nvml.nvmlDeviceGetMaxMigDeviceCount(handle) if enabled else 0
    except nvml.NVMLError:  # most cards cannot be split
        return []
    found = []
    for place in range(places):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place))
        except nvml.NVMLError:  # an empty place
            continue
    return found


def _memory(nvml: Any, handle: Any) -> int | None:
    """Machines whose GPU shares the processor's memory have none of its own to tell."""
    try:
        return int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    except nvml.NVMLError:
        return None


def _said(error: Exception, of: str = "") -> str:
    return f"the NVIDIA driver says{of}: {error}".rstrip(".")


def _text(value: str | bytes) -> str:
    """Older bindings answer bytes."""
    return value.decode() if isinstance(value, bytes) else value
