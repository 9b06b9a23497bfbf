"""Who gets a GPU, and for whom there is none: pure rules, told in sentences.

A backend asks `plan` what a run is to have; takes the image for that device; asks `refusal` whether
the image can use any of the GPUs there are; and takes its share of those that it `can_use`:

    decided = plan(instance, image, pool.gpus, mode)
    if decided.gpus:
        said = refusal(pool.gpus, architectures, image)
        if said:
            raise RunFailedToStart(said)
        given = pool.take(decided.gpus, run_name, of="training job x", among=can_use(…))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sagedock.backends.gpus import Gpu
from sagedock.domain.families import Device
from sagedock.domain.images import ImageReference
from sagedock.domain.instances import LOCAL_GPU, InstanceType
from sagedock.errors import RunFailedToStart

MXNET_WHEEL_ARCHITECTURES: Final = ("sm_50", "sm_60", "sm_70", "sm_80", "sm_86")
"""What the published wheel mxnet-cu112 1.9.1 holds, read from its fat binaries; it has no PTX."""


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """What a run is to have: how many GPUs, which build of its image, and a line for its log."""

    gpus: int
    device: Device
    warning: str | None = None


def plan(
    instance: InstanceType,
    image: str,
    present: Sequence[Gpu],
    mode: Literal["auto", "strict"],
    trouble: str = "",
) -> GpuPlan:
    """What a run on `instance` gets where `present` is what runs can use: what it has in the cloud,
    as far as there are. `trouble` is why there is none, where that is known.

    An image whose tag says cpu gets none: there is nothing in it that could use one. Raises
    RunFailedToStart where there is none at all and `mode` is strict.
    """
    asked = _asked(instance, image, len(present))
    if asked == 0:
        return GpuPlan(0, "cpu")
    has = f"{instance.name} has {_count(instance)}"
    if not present:
        because = f" ({trouble.rstrip('.')})" if trouble else ""
        if mode == "strict":
            raise RunFailedToStart(
                f"{has}, and no GPU was found here, neither by NVML nor through the engine"
                f"{because}. `sagedock doctor` says what is missing. Choose a CPU instance type, "
                "or leave SAGEDOCK_GPU=strict away to run it on the CPU."
            )
        return GpuPlan(
            0,
            "cpu",
            f"{has}, and no GPU was found here{because}: this runs on the CPU. "
            "With SAGEDOCK_GPU=strict it fails instead.",
        )
    if len(present) < asked:
        return GpuPlan(len(present), "gpu", f"{has}; here it gets the {len(present)} there is.")
    return GpuPlan(asked, "gpu")


def refusal(gpus: Sequence[Gpu], architectures: tuple[str, ...], image: str) -> str | None:
    """Why `image` can run on none of `gpus`, by the code that it holds (the words of its label:
    sm_70, compute_80); None where it can, or where that is not known (no words, no GPU)."""
    if not gpus or can_use(gpus, architectures):
        return None
    needs = {gpu.architecture: gpu.name for gpu in gpus}
    needed = " and ".join(f"the {name} needs {sm}" for sm, name in needs.items())
    return (
        f"{image} has GPU code for {_listed(architectures)}; {needed}. "
        "Run it on a CPU instance type (ml.m5.xlarge, say), or name an image built for this GPU."
    )


def can_use(gpus: Iterable[Gpu], architectures: tuple[str, ...]) -> tuple[Gpu, ...]:
    """Those of `gpus` that an image with such code can use; all where its code is not known.

    CUDA's rules (CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility"):
    machine code runs on the same major version with an equal or higher minor one, PTX on anything
    equal or newer; code named with an `a` (sm_90a) on exactly its own.
    """
    codes = [_Code.parse(word) for word in architectures]
    known = [code for code in codes if code is not None]
    if not known:
        return tuple(gpus)
    return tuple(gpu for gpu in gpus if any(code.runs_on(gpu) for code in known))


def _asked(instance: InstanceType, image: str, present: int) -> int:
    words = ImageReference.parse(image).tag.split("-")
    if "cpu" in words or instance.gpus == 0:
        return 0
    if instance.gpus is not None:
        return instance.gpus
    # How many is not known: whoever names a GPU gets those that there are.
    named = instance.name == LOCAL_GPU or instance.gpu_name is not None or "gpu" in words
    return max(1, present) if named else 0


def _count(instance: InstanceType) -> str:
    if instance.gpus is None:
        return "GPUs"
    number = "1 GPU" if instance.gpus == 1 else f"{instance.gpus} GPUs"
    return f"{number} ({instance.gpu_name})" if instance.gpu_name else number


_CODE: Final = re.compile(r"(?P<form>sm|compute)_(?P<major>\d+)(?P<minor>\d)(?P<only>[af]?)")


@dataclass(frozen=True, slots=True)
class _Code:
    """One word of the label: machine code (`sm`) or PTX (`compute`)."""

    form: str
    version: tuple[int, int]
    only: str

    @classmethod
    def parse(cls, word: str) -> _Code | None:
        match = _CODE.fullmatch(word)
        if match is None:
            return None
        return cls(match["form"], (int(match["major"]), int(match["minor"])), match["only"])

    def runs_on(self, gpu: Gpu) -> bool:
        """True of a GPU that does not say what it is: the framework will."""
        there = gpu.compute_capability
        if there is None:
            return True
        if self.only == "a":
            return there == self.version
        same_major = there[0] == self.version[0]
        return there >= self.version and (same_major or (self.form == "compute" and not self.only))


def _listed(words: Sequence[str]) -> str:
    """As in "sm_50, 60, 70, compute_80"."""
    machine = ", ".join(word.removeprefix("sm_") for word in words if word.startswith("sm_"))
    others = [word for word in words if not word.startswith("sm_")]
    return ", ".join([*([f"sm_{machine}"] if machine else []), *others])
