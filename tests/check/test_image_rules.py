"""What rules on images decide without an engine; tests/docker has them at real images."""

from __future__ import annotations

import pytest

from sagedock.backends.docker.image_contents import ImageContents, script_of, wrapped
from sagedock.backends.gpus import Gpu
from sagedock.check.checker import Checker
from sagedock.check.rules.image_rules import wanted_architecture
from sagedock.check.target import Target

A100 = Gpu(0, "GPU-1", "A100", (8, 0), None)


@pytest.mark.parametrize(
    ("instance_type", "architecture"),
    [
        (None, "amd64"),
        ("ml.m5.large", "amd64"),
        ("ml.c7g.large", "arm64"),
        ("ml.m6gd.4xlarge", "arm64"),
        ("ml.c6gn.xlarge", "arm64"),
        ("ml.p6e-gb200.36xlarge", "arm64"),
        ("ml.g4dn.xlarge", "amd64"),
        ("ml.g6.xlarge", "amd64"),
        ("ml.gr6.4xlarge", "amd64"),
        ("ml.p6-b200.48xlarge", "amd64"),
    ],
)
def test_graviton_is_told_by_the_name(instance_type: str | None, architecture: str) -> None:
    assert wanted_architecture(Target(instance_type=instance_type)) == architecture


def test_what_an_init_starts_is_what_counts() -> None:
    assert wrapped(["/usr/bin/tini", "-g", "-p", "SIGTERM", "run.sh"]) == ["run.sh"]
    assert wrapped(["dumb-init", "--"]) == []
    assert wrapped(["python3", "--", "x"]) == ["python3", "--", "x"]


def test_a_script_is_looked_for_where_its_interpreter_would() -> None:
    assert script_of(["python3", "-u", "main.py"]) == "main.py"
    assert script_of(["bash", "/opt/start.sh"]) == "/opt/start.sh"
    assert script_of(["bash", "start.sh"]) == ""
    assert script_of(["python3", "-m", "http.server"]) == ""
    assert script_of(["shellinabox", "/x"]) == ""


def test_the_gpu_at_hand_is_advised_of_and_the_instance_type_s_is_an_error() -> None:
    old = ImageContents(
        "old", "amd64", "amd64", gpu_architectures=("sm_70",), programs={"train": None},
        gpus=(A100,),
    )  # fmt: skip
    for target, level in ((Target(), "advice"), (Target(instance_type="ml.p4d.24xlarge"), "error")):
        checker = Checker(target)
        checker.image(old)
        (finding,) = checker.report.findings
        assert (finding.rule, finding.level) == ("SD713", level)
    checker = Checker(Target(instance_type="ml.p3.2xlarge"))
    checker.image(old)
    assert checker.report.findings == ()
