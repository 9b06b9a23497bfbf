from __future__ import annotations

from typing import Literal

import pytest

from sagedock.backends.gpu_rules import (
    MXNET_WHEEL_ARCHITECTURES,
    GpuPlan,
    can_use,
    plan,
    refusal,
)
from sagedock.backends.gpus import Gpu
from sagedock.domain.instances import InstanceType
from sagedock.errors import RunFailedToStart

IMAGE = "sagemaker-mxnet:1.2.1-gpu-py3"
OWN = "my-algorithm:1"


def card(major: int, minor: int, name: str = "NVIDIA X", index: int = 0) -> Gpu:
    return Gpu(index, f"GPU-{index}", name, (major, minor), None)


def cards(count: int) -> list[Gpu]:
    return [card(8, 6, index=index) for index in range(count)]


def planned(
    instance: str, present: int, image: str = IMAGE, strict: bool = False, trouble: str = ""
) -> GpuPlan:
    mode: Literal["auto", "strict"] = "strict" if strict else "auto"
    return plan(InstanceType.parse(instance), image, cards(present), mode, trouble)


# --- who gets how many -------------------------------------------------------------------------


@pytest.mark.parametrize("image", [IMAGE, OWN])
def test_a_gpu_instance_gets_the_gpus_it_has_in_the_cloud(image: str) -> None:
    assert planned("ml.p3.2xlarge", 8, image) == GpuPlan(1, "gpu")
    assert planned("ml.p3.8xlarge", 8, image) == GpuPlan(4, "gpu")


def test_as_far_as_there_are_and_the_log_says_how_many() -> None:
    decided = planned("ml.p3.8xlarge", 1)
    assert (decided.gpus, decided.device) == (1, "gpu")
    assert decided.warning == "ml.p3.8xlarge has 4 GPUs (V100); here it gets the 1 there is."


@pytest.mark.parametrize("strict", [False, True])
def test_a_cpu_instance_gets_none_and_no_warning(strict: bool) -> None:
    assert planned("ml.m5.xlarge", 4, strict=strict) == GpuPlan(0, "cpu")
    assert planned("local", 4, strict=strict) == GpuPlan(0, "cpu")


def test_an_image_that_is_for_the_cpu_gets_none() -> None:
    assert planned("ml.p3.2xlarge", 4, "sagemaker-mxnet:1.2.1-cpu-py3") == GpuPlan(0, "cpu")


def test_without_a_gpu_the_cpu_stands_in_with_one_warning() -> None:
    decided = planned("ml.p3.2xlarge", 0)
    assert (decided.gpus, decided.device) == (0, "cpu")
    assert decided.warning == (
        "ml.p3.2xlarge has 1 GPU (V100), and no GPU was found here: this runs on the CPU. "
        "With SAGEDOCK_GPU=strict it fails instead."
    )


def test_the_warning_says_why_there_is_none_where_that_is_known() -> None:
    warning = planned("ml.p3.2xlarge", 0, trouble="the toolkit is missing.").warning
    assert warning is not None
    assert "found here (the toolkit is missing): this" in warning


def test_without_a_gpu_strict_fails_and_says_what_to_do() -> None:
    with pytest.raises(RunFailedToStart) as caught:
        planned("ml.g5.48xlarge", 0, strict=True)
    said = str(caught.value)
    assert said.startswith("ml.g5.48xlarge has 8 GPUs (A10G), and no GPU was found here, neither")
    assert "leave SAGEDOCK_GPU=strict away" in said


def test_local_gpu_gets_all_there_are() -> None:
    assert planned("local_gpu", 3, OWN) == GpuPlan(3, "gpu")
    assert planned("local_gpu", 0, OWN).device == "cpu"


def test_a_type_that_is_not_known_gets_what_its_image_asks_for() -> None:
    assert planned("ml.z9.large", 2, IMAGE) == GpuPlan(2, "gpu")
    assert planned("ml.z9.large", 2, OWN) == GpuPlan(0, "cpu")
    assert planned("ml.p3.99xlarge", 2, OWN) == GpuPlan(2, "gpu")


# --- what an image has code for ----------------------------------------------------------------


@pytest.mark.evidence("docs", "CUDA C++ Programming Guide, Binary Compatibility, PTX Compatibility")
@pytest.mark.parametrize(
    ("capability", "label", "runs"),
    [
        ((7, 0), "sm_70", True),
        ((7, 5), "sm_70", True),
        ((8, 9), "sm_80 sm_86", True),
        ((8, 0), "sm_86", False),
        ((9, 0), "sm_86", False),
        ((9, 0), "sm_86 compute_86", True),
        ((8, 0), "compute_86", False),
        ((12, 0), "sm_100", False),
        ((12, 0), "sm_100 compute_100", True),
        ((10, 3), "sm_100", True),
        ((9, 0), "sm_90a", True),
        ((10, 0), "compute_90a", False),
        ((10, 3), "sm_100f", True),
        ((12, 0), "compute_100f", False),
        ((9, 0), "of no meaning", True),
        ((9, 0), "", True),
    ],
)
def test_code_runs_where_cuda_says(capability: tuple[int, int], label: str, runs: bool) -> None:
    assert bool(can_use([card(*capability)], label.split())) is runs


@pytest.mark.parametrize(
    ("name", "major", "minor", "runs"),
    [
        ("Tesla K80", 3, 7, False),
        ("Tesla M60", 5, 2, True),
        ("Tesla V100", 7, 0, True),
        ("Tesla T4", 7, 5, True),
        ("NVIDIA A100", 8, 0, True),
        ("NVIDIA A10G", 8, 6, True),
        ("NVIDIA L4", 8, 9, True),
        ("NVIDIA H100", 9, 0, False),
        ("NVIDIA B200", 10, 0, False),
        ("NVIDIA GeForce RTX 5090", 12, 0, False),
    ],
)
def test_mxnet_s_wheel_runs_from_maxwell_to_ada(
    name: str, major: int, minor: int, runs: bool
) -> None:
    said = refusal([card(major, minor, name)], MXNET_WHEEL_ARCHITECTURES, "sagedock/mxnet")
    assert (said is None) is runs


def test_a_refusal_names_both_and_the_ways_out() -> None:
    said = refusal([card(9, 0, "NVIDIA H200")], MXNET_WHEEL_ARCHITECTURES, "sagedock/mxnet:gpu")
    assert said == (
        "sagedock/mxnet:gpu has GPU code for sm_50, 60, 70, 80, 86; the NVIDIA H200 needs sm_90. "
        "Run it on a CPU instance type (ml.m5.xlarge, say), or name an image built for this GPU."
    )


def test_a_machine_with_one_card_that_does_is_not_refused() -> None:
    mixed = [card(9, 0, index=0), card(8, 6, index=1)]
    assert refusal(mixed, MXNET_WHEEL_ARCHITECTURES, OWN) is None
    assert can_use(mixed, MXNET_WHEEL_ARCHITECTURES) == (mixed[1],)


def test_what_is_not_known_is_not_refused() -> None:
    silent = Gpu(0, "GPU-0", "GRID A100X-10C", None, None)
    assert refusal([silent], MXNET_WHEEL_ARCHITECTURES, OWN) is None
    assert refusal([card(9, 0)], (), OWN) is None
    assert refusal([], MXNET_WHEEL_ARCHITECTURES, OWN) is None
