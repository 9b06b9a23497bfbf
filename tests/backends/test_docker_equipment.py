"""How much of the machine a run gets for its instance type."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sagedock.backends.base import RunSpec
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.equipment import Equipment, Policy
from sagedock.backends.docker.translation import Sizes
from sagedock.domain.images import ImageTable

GIB = 1024**3


def sizes(instance_type: str, size: str = "memory", command: str = "train") -> Sizes:
    """On a machine of 4 processors and 16 GiB."""
    engine = SimpleNamespace(facts=SimpleNamespace(cpus=4, memory_bytes=16 * GIB))
    policy = Policy(instance_size=cast("Any", size))
    equipment = Equipment(cast("Engine", engine), ImageTable.builtin(), policy, "me", False)
    spec = RunSpec("run", "i", (command,), Path("/w"), instance_type=instance_type)
    return equipment.sizes(spec)


def test_memory_is_the_instance_types_where_the_machine_has_more() -> None:
    assert sizes("ml.m5.large") == Sizes(8 * GIB, None, 4 * GIB)


@pytest.mark.parametrize("instance_type", ["ml.m5.xlarge", "ml.p3.16xlarge"])
def test_an_instance_as_large_as_the_machine_or_larger_is_not_limited(instance_type: str) -> None:
    assert sizes(instance_type) == Sizes(None, None, 8 * GIB)


def test_processors_are_limited_when_asked_for_and_never_to_more_than_there_are() -> None:
    assert sizes("ml.m5.large", "full").cpus == 2.0
    assert sizes("ml.p3.16xlarge", "full").cpus == 4.0
    assert sizes("ml.m5.large").cpus is None


def test_the_machine_as_it_is() -> None:
    assert sizes("ml.m5.large", "machine") == Sizes(None, None, 8 * GIB)


@pytest.mark.parametrize("instance_type", ["", "local", "ml.unheard.of"])
def test_a_type_that_is_not_known_limits_nothing(instance_type: str) -> None:
    assert sizes(instance_type).memory is None


@pytest.mark.evidence("sdk-source", "aws/sagemaker-python-sdk issue 2801: 64 MiB on g4dn endpoints")
def test_hosting_has_the_shared_memory_that_docker_gives() -> None:
    assert sizes("ml.m5.large", command="serve").shared_memory == 64 * 1024**2
