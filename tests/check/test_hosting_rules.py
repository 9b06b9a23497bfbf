"""What rules on model servers decide of what a server shows; test_runs has real servers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sagedock.check.checker import Checker
from sagedock.check.runs.hosting_placement import environment_of, instance_type_of
from sagedock.check.subjects.observations import (
    Answer,
    Code,
    Comparison,
    Hosting,
    Sample,
    Timing,
    WorkerMemory,
)
from sagedock.check.subjects.request import request_of
from sagedock.check.target import Target

GIB = 1024**3
SAMPLE = Sample("one.json", b"[1, 2]", "application/json")
FINE = Answer(SAMPLE, "application/json", None, 200, "application/json", b"3", 0.01)
SEEN = Hosting(
    script=Code(Path("/nowhere"), "train.py", "train.py"),
    trouble="",
    lines=(),
    start_seconds=0.5,
    answers=(FINE,),
    busy_ping_seconds=0.01,
    timing=Timing(0.01, 0.02, 200),
    worker_memory=WorkerMemory(own=GIB, files=GIB // 8),
    stop_seconds=0.2,
)


def found(target: Target | None = None, **changed: Any) -> dict[str, str]:
    """Messages by their rules."""
    checker = Checker(target or Target())
    checker.look("hosting", replace(SEEN, **changed), "train.py")
    return {finding.rule: finding.message for finding in checker.report.findings}


def skipped(target: Target | None = None, **changed: Any) -> dict[str, str]:
    checker = Checker(target or Target())
    checker.look("hosting", replace(SEEN, **changed), "train.py")
    return {looked.rule: looked.skipped for looked in checker.report.checked}


def test_a_healthy_server_has_no_finding() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("instance_type", "workers", "one_per_gpu", "is_found"),
    [
        ("ml.c5.large", None, True, False),  # 2 × 1 of 4 GiB
        ("ml.c5.large", 4, True, True),
        ("ml.c4.8xlarge", None, True, False),  # 36 × 1 of 60 GiB
        ("ml.p3.2xlarge", None, True, False),  # one GPU, one worker
        ("ml.p3.2xlarge", None, False, False),  # 8 × 1 of 61 GiB
    ],
)
def test_each_worker_counts_and_what_they_share_counts_once(
    instance_type: str, workers: int | None, one_per_gpu: bool, is_found: bool
) -> None:
    told = found(Target(instance_type=instance_type), workers=workers, one_per_gpu=one_per_gpu)
    assert set(told) == ({"SD515"} if is_found else set())


def test_the_message_has_the_numbers_and_the_line_to_add() -> None:
    heavy = WorkerMemory(own=2 * GIB, files=GIB)
    (message,) = found(Target(instance_type="ml.c4.8xlarge"), worker_memory=heavy).values()
    assert "36 (one per vCPU) hold 73.0 GiB, and ml.c4.8xlarge has 60 GiB" in message
    assert message.endswith('env={"SAGEMAKER_MODEL_SERVER_WORKERS": "29"} fits')
    gpu = found(Target(instance_type="ml.p3.2xlarge"), worker_memory=replace(heavy, own=64 * GIB))
    assert "1 (one per GPU)" in gpu["SD515"]
    assert "Not even one fits" in gpu["SD515"]


def test_what_is_not_known_of_memory_is_no_finding_and_has_a_reason() -> None:
    assert "needs --instance-type" in skipped()["SD515"]
    assert "not known" in skipped(Target(instance_type="ml.zz9.large"))["SD515"]
    ours = skipped(Target(instance_type="ml.c5.large"), is_ours=False)
    assert "image of your own" in ours["SD515"]
    untold = skipped(Target(instance_type="ml.c5.large"), worker_memory=None)
    assert "does not tell" in untold["SD515"]


def test_a_request_in_vain_is_late_or_dropped_and_never_both() -> None:
    late = replace(FINE, status=0, body=b"", seconds=60.0)
    assert set(found(answers=(late,))) == {"SD510"}
    assert set(found(answers=(replace(late, dropped=True),))) == {"SD516"}


def test_requests_that_only_waited_too_long_for_each_other_are_not_mixed_up() -> None:
    late = replace(FINE, status=0, body=b"")
    assert found(together=((FINE, late), (FINE, FINE))) == {}
    assert set(found(together=((FINE, replace(late, dropped=True)),))) == {"SD509"}


def test_a_ping_that_met_no_request_is_no_evidence() -> None:
    assert "before a /ping" in skipped(busy_ping_seconds=None)["SD513"]
    assert set(found(busy_ping_seconds=2.5)) == {"SD513"}


def test_a_server_that_may_wait_for_a_request_is_not_blamed() -> None:
    assert "given up" in skipped(stop_seconds=None)["SD514"]
    assert set(found(stop_seconds=20.0, ignored_stop=True)) == {"SD514"}


def test_half_of_the_limit_is_near_it_for_most_requests_or_for_one_in_20() -> None:
    assert set(found(timing=Timing(31.0, 33.0, 3))) == {"SD517"}
    assert found(timing=Timing(1.0, 33.0, 3)) == {}
    assert "one in 20" in found(timing=Timing(1.0, 33.0, 40))["SD517"]


@pytest.mark.parametrize(
    ("megabytes", "is_found"),
    [
        (range(100, 180, 10), True),
        ((100, 150, 200, 240, 240, 240, 240, 240), False),  # an allocator that has enough
        ((100, 100, 100, 100, 150, 150, 150, 150), False),  # a worker's first request
        ((100, 101, 102, 103, 104, 105, 106, 107), False),  # little
    ],
)
def test_only_memory_that_goes_on_growing_is_a_leak(megabytes: Any, is_found: bool) -> None:
    told = found(growth=tuple(size * 1024 * 1024 for size in megabytes))
    assert set(told) == ({"SD512"} if is_found else set())


@pytest.mark.parametrize(
    ("after", "same", "is_found"),
    [
        ((30.0, 31.0, 32.0), True, True),
        ((30.0, 31.0, 32.0), False, False),  # other answers
        ((30.0, 31.0, 20.0), True, False),  # one of three turns is no better: chance could be it
        ((23.0, 22.5, 22.2), True, False),  # 2 % more
    ],
)
def test_only_a_clear_gain_is_advised(after: tuple[float, ...], same: bool, is_found: bool) -> None:
    seen = Comparison("OMP_NUM_THREADS=4", "OMP_NUM_THREADS=1", (20.0, 22.0, 21.9), after,
                      same, clients=8, cores=2)  # fmt: skip
    told = found(threads=seen)
    assert set(told) == ({"SD603"} if is_found else set())
    if is_found:
        assert 'env={"OMP_NUM_THREADS": "1"}' in told["SD603"]
        assert "this machine has 2 cores" in told["SD603"]


def test_one_spoilt_turn_of_many_does_not_hide_a_gain() -> None:
    before, after = (
        (20.0, 22.0, 21.0, 20.5, 21.5, 3.0, 21.0),
        (40.0, 41.0, 39.0, 8.0, 40.0, 42.0, 38.0),
    )
    seen = Comparison("A=2", "A=1", before, after, True, clients=8, cores=2)
    assert seen.is_clear
    assert round(seen.gain, 2) == 1.9
    assert not replace(seen, after=(*before[1:], 20.2)).is_clear


def test_what_was_measured_is_told() -> None:
    assert SEEN.measured == {
        "start_seconds": 0.5, "p50_seconds": 0.01, "p95_seconds": 0.02, "requests": 200,
        "worker_memory_bytes": GIB, "busy_ping_seconds": 0.01, "stop_seconds": 0.2,
    }  # fmt: skip
    assert replace(SEEN, timing=None).measured == {}


def test_the_requests_say_where_and_how_a_model_is_hosted() -> None:
    model = request_of(
        '{"ModelName": "m", "ExecutionRoleArn": "arn", "PrimaryContainer": {"Image": "i", '
        '"Environment": {"A": "1", "SAGEMAKER_PROGRAM": "x.py", "AWS_ENDPOINT_URL": "http://x"}}}',
        "model.json",
    )
    config = request_of(
        '{"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "v", "ModelName": "m", '
        '"InstanceType": "ml.c5.large", "InitialInstanceCount": 1}]}',
        "config.json",
    )
    assert environment_of([config, model]) == {"A": "1"}
    assert environment_of([model, model]) == {}
    assert instance_type_of([model, config]) == "ml.c5.large"
    assert instance_type_of([model]) is None
