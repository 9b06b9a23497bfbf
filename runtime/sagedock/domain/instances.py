"""What an instance type of SageMaker's is made of: processors, memory and GPUs.

Sources: the EC2 User Guide's "Specifications for Amazon EC2 instance types" (compute optimized,
general purpose, memory optimized, accelerated computing), as DescribeInstanceTypes answers them;
for p2, p3 and dl1 the instance pages of their time (aws.amazon.com/ec2/instance-types/p2, /p3,
/dl1); for p6e-gb200 the page of P6e UltraServers, of which p6e-gb200x36 is nine such instances. An
ml. type is the EC2 type of the same name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_VCPUS_OF_XLARGE: Final = 4
_SMALL: Final = {"medium": 1, "large": 2, "xlarge": 4}
_TYPE: Final = re.compile(r"ml\.(?P<family>[a-z][a-z0-9-]*)\.(?P<size>[a-z0-9-]+)")
_XLARGE: Final = re.compile(r"(?P<times>\d+)xlarge")
_TIMES: Final = frozenset((2, 3, 4, 6, 8, 9, 10, 12, 16, 18, 24, 32, 36, 48, 96))
"""The multiples of xlarge that EC2 has sizes of."""


@dataclass(frozen=True, slots=True)
class InstanceType:
    """`name` as written. What is not known of it is None, never a guess; `gpus` is 0 for a type
    that is known to have none, and None means as many as there are for `local_gpu`, which is the
    machine as it is. `gpus` counts NVIDIA's; `gpu_name` is theirs, as in "V100".
    """

    name: str
    vcpus: int | None = None
    memory_gib: float | None = None
    gpus: int | None = None
    gpu_name: str | None = None

    @classmethod
    def parse(cls, name: str) -> InstanceType:
        """Never raises: whether a name is allowed is the API's question."""
        if name == "local":
            return cls(name, gpus=0)
        if name == LOCAL_GPU:
            return cls(name)
        match = _TYPE.fullmatch(name)
        if match is None:
            return cls(name)
        family, size = match["family"], match["size"]
        model, counts = _GPUS.get(family, (None, None))
        if size in _ODD.get(family, {}):
            vcpus, memory = _ODD[family][size]
        elif family in _GIB_PER_VCPU and (count := _vcpus(size)):
            vcpus, memory = count, count * _GIB_PER_VCPU[family]
        else:
            return cls(name, gpu_name=model)
        gpus = counts.get(size) if counts is not None else 0
        return cls(name, vcpus, memory, gpus, model)

    @property
    def has_own_disk(self) -> bool:
        """Whether SageMaker attaches no volume, by the family: a "d" in it, or one of these
        (sagemaker-python-sdk utils.py, volume_size_supported)."""
        family = self.name.removeprefix("ml.").partition(".")[0]
        return "d" in family or family.startswith(("g5", "g6", "trn1"))


LOCAL_GPU: Final = "local_gpu"
"""The SageMaker SDK's local mode with the machine's GPUs; `local` is the same without."""


def _vcpus(size: str) -> int | None:
    """Of a size that follows EC2's rule: xlarge has four, 12xlarge twelve times as many."""
    match = _XLARGE.fullmatch(size)
    if match is None:
        return _SMALL.get(size)
    times = int(match["times"])
    return times * _VCPUS_OF_XLARGE if times in _TIMES else None


def _families(gib: float, names: str) -> dict[str, float]:
    return dict.fromkeys(names.split(), gib)


_GIB_PER_VCPU: Final[dict[str, float]] = {
    **_families(2, "c5 c5d c6g c6gd c6gn c6i c6in c7g c7i c7i-flex c8g c8i c8i-flex inf1"),
    **_families(4, "m4 m5 m5d m6g m6gd m6i m7i m7i-flex m8g m8i m8i-flex t2 t3"),
    **_families(4, "g4dn g5 g6 g7 inf2 trn1 trn1n"),
    **_families(8, "r5 r5d r6g r6gd r6i r7gd r7i r8g r8i r8i-flex g6e p3dn dl1"),
}
"""Families whose every size follows the rule, but for those in _ODD."""

_ODD: Final[dict[str, dict[str, tuple[int, float]]]] = {
    "c4": {
        "large": (2, 3.75),
        "xlarge": (4, 7.5),
        "2xlarge": (8, 15),
        "4xlarge": (16, 30),
        "8xlarge": (36, 60),
    },
    "c5n": {
        "large": (2, 5.25),
        "xlarge": (4, 10.5),
        "2xlarge": (8, 21),
        "4xlarge": (16, 42),
        "9xlarge": (36, 96),
        "18xlarge": (72, 192),
    },
    "t2": {"medium": (2, 4), "large": (2, 8)},
    "t3": {"medium": (2, 4), "large": (2, 8)},
    "trn2": {"48xlarge": (192, 2048)},
    "g7e": {
        "2xlarge": (8, 64),
        "4xlarge": (16, 128),
        "8xlarge": (32, 256),
        "12xlarge": (48, 512),
        "24xlarge": (96, 1024),
        "48xlarge": (192, 2048),
    },
    "p2": {"xlarge": (4, 61), "8xlarge": (32, 488), "16xlarge": (64, 732)},
    "p3": {"2xlarge": (8, 61), "8xlarge": (32, 244), "16xlarge": (64, 488)},
    "p4d": {"24xlarge": (96, 1152)},
    "p4de": {"24xlarge": (96, 1152)},
    "p5": {"4xlarge": (16, 256), "48xlarge": (192, 2048)},
    "p5e": {"48xlarge": (192, 2048)},
    "p5en": {"48xlarge": (192, 2048)},
    "p6-b200": {"48xlarge": (192, 2048)},
    "p6-b300": {"48xlarge": (192, 4096)},
    "p6e-gb200": {"36xlarge": (144, 960)},
}
"""Size → processors and GiB, where the rule does not hold."""

_ONE_UP_TO_16: Final = dict.fromkeys(("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"), 1)
_G5: Final = {**_ONE_UP_TO_16, "12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_G7: Final = {"2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "12xlarge": 2, "24xlarge": 4, "48xlarge": 8}

_GPUS: Final[dict[str, tuple[str, dict[str, int]]]] = {
    "p2": ("K80", {"xlarge": 1, "8xlarge": 8, "16xlarge": 16}),
    "p3": ("V100", {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8}),
    "p3dn": ("V100", {"24xlarge": 8}),
    "p4d": ("A100", {"24xlarge": 8}),
    "p4de": ("A100", {"24xlarge": 8}),
    "p5": ("H100", {"4xlarge": 1, "48xlarge": 8}),
    "p5e": ("H200", {"48xlarge": 8}),
    "p5en": ("H200", {"48xlarge": 8}),
    "p6-b200": ("B200", {"48xlarge": 8}),
    "p6-b300": ("B300", {"48xlarge": 8}),
    "p6e-gb200": ("GB200", {"36xlarge": 4}),
    "g4dn": ("T4", {**_ONE_UP_TO_16, "12xlarge": 4}),
    "g5": ("A10G", _G5),
    "g6": ("L4", _G5),
    "g6e": ("L40S", _G5),
    "g7": ("RTX PRO 4500", _G7),
    "g7e": ("RTX PRO 6000", _G7),
}
"""Family → its GPU, and how many of them each size has."""
