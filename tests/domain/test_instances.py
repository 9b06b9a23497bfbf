from __future__ import annotations

import botocore.session
import pytest

from sagedock.domain.instances import InstanceType


def offered() -> list[str]:
    model = botocore.session.get_session().get_service_model("sagemaker")
    shapes = ("TrainingInstanceType", "ProductionVariantInstanceType")
    return sorted({name for shape in shapes for name in model.shape_for(shape).enum})


def test_every_instance_type_that_the_api_knows_has_a_known_size() -> None:
    unknown = [name for name in offered() if InstanceType.parse(name).vcpus is None]
    assert unknown == [], "add them to domain/instances.py, from EC2's own pages"


def test_every_type_of_a_gpu_family_has_gpus_and_no_other_type_has_one() -> None:
    for name in offered():
        instance = InstanceType.parse(name)
        if name.startswith(("ml.p", "ml.g")):
            assert instance.gpus, name
            assert instance.gpu_name, name
        else:
            assert (instance.gpus, instance.gpu_name) == (0, None), name


@pytest.mark.evidence("docs", "EC2 User Guide, Specifications for Amazon EC2 instance types")
@pytest.mark.parametrize(
    ("name", "vcpus", "memory", "gpus", "gpu"),
    [
        ("ml.m4.xlarge", 4, 16, 0, None),
        ("ml.m5.24xlarge", 96, 384, 0, None),
        ("ml.c4.8xlarge", 36, 60, 0, None),
        ("ml.c5.18xlarge", 72, 144, 0, None),
        ("ml.c5n.9xlarge", 36, 96, 0, None),
        ("ml.t2.medium", 2, 4, 0, None),
        ("ml.m8g.medium", 1, 4, 0, None),
        ("ml.inf1.6xlarge", 24, 48, 0, None),
        ("ml.dl1.24xlarge", 96, 768, 0, None),
        ("ml.p2.xlarge", 4, 61, 1, "K80"),
        ("ml.p2.16xlarge", 64, 732, 16, "K80"),
        ("ml.p3.2xlarge", 8, 61, 1, "V100"),
        ("ml.p3.16xlarge", 64, 488, 8, "V100"),
        ("ml.p3dn.24xlarge", 96, 768, 8, "V100"),
        ("ml.p4d.24xlarge", 96, 1152, 8, "A100"),
        ("ml.p5.4xlarge", 16, 256, 1, "H100"),
        ("ml.g4dn.12xlarge", 48, 192, 4, "T4"),
        ("ml.g4dn.16xlarge", 64, 256, 1, "T4"),
        ("ml.g5.48xlarge", 192, 768, 8, "A10G"),
        ("ml.g6e.16xlarge", 64, 512, 1, "L40S"),
        ("ml.g7e.12xlarge", 48, 512, 2, "RTX PRO 6000"),
        ("ml.p6e-gb200.36xlarge", 144, 960, 4, "GB200"),
    ],
)
def test_a_type_is_made_of_what_ec2_says(
    name: str, vcpus: int, memory: float, gpus: int, gpu: str | None
) -> None:
    assert InstanceType.parse(name) == InstanceType(name, vcpus, memory, gpus, gpu)


@pytest.mark.parametrize("name", ["ml.z9.large", "ml.m5.colossal", "m5.large", "", "ml.m5.7xlarge"])
def test_a_type_that_is_not_known_says_so(name: str) -> None:
    assert InstanceType.parse(name) == InstanceType(name, None, None, None, None)


def test_an_unknown_size_of_a_gpu_family_tells_the_gpu_but_not_how_many() -> None:
    instance = InstanceType.parse("ml.p3.99xlarge")
    assert (instance.gpu_name, instance.gpus, instance.vcpus) == ("V100", None, None)


def test_local_has_no_gpu_and_local_gpu_has_those_of_the_machine() -> None:
    assert InstanceType.parse("local").gpus == 0
    assert InstanceType.parse("local_gpu").gpus is None
