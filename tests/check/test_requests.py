"""Requests as the SDKs really send them are clean; and no body makes a rule fall over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from requests_as_sdks_send import ROLE, channel, legacy_container, training_request
from sagedock.check.checker import Checker
from sagedock.check.findings import Finding
from sagedock.check.rules import request_examples as examples
from sagedock.check.subjects.request import request_of

BODIES = (
    examples.training(), examples.created_model(), examples.endpoint_config(), examples.transform()
)  # fmt: skip


def found(*bodies: dict[str, Any]) -> tuple[Finding, ...]:
    requests = [request_of(json.dumps(body, indent=1), "job.json") for body in bodies]
    checker = Checker()
    checker.requests(
        [replace(r, others=tuple(o for o in requests if o is not r)) for r in requests]
    )
    return checker.report.findings


def test_a_job_of_the_sdk_is_clean() -> None:
    job = training_request("digits-2026-11-25", "my-data", "train.py", {"epochs": 3, "lr": 0.1})
    job["InputDataConfig"] = [channel("s3://my-data/train/"), channel("s3://my-data/t", "test")]
    job["DebugHookConfig"] = {"S3OutputPath": "s3://my-data/", "CollectionConfigurations": []}
    job["ProfilerConfig"] = {"S3OutputPath": "s3://my-data/"}
    assert found(job) == ()


def test_a_deployment_of_the_sdk_is_clean() -> None:
    container = legacy_container("s3://my-data/out/digits/output/model.tar.gz", "my-data", "s.py")
    model = {"ModelName": "digits", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    variant = {**examples.variant(), "InitialVariantWeight": 1}
    config = {"EndpointConfigName": "digits", "ProductionVariants": [variant], "Tags": []}
    endpoint = {"EndpointName": "digits", "EndpointConfigName": "digits", "Tags": []}
    assert found(model, config, endpoint) == ()


def test_a_place_in_a_message_is_found_again_in_the_body() -> None:
    job = json.loads(examples.training(InputDataConfig=[examples.channel("a b")]))
    (finding,) = found(job)
    assert finding.pointer == "/InputDataConfig/0/ChannelName"
    assert '"a b"' in finding.source


JUNK = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8)
    | some.sampled_from(["s3://", "arn:aws:iam::1:user/x", "ml.m5", "[", "*"]),
    lambda inner: some.lists(inner, max_size=3)
    | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(body=some.sampled_from(BODIES), junk=JUNK, data=some.data())
def test_no_value_anywhere_makes_a_rule_fall_over(body: str, junk: Any, data: Any) -> None:
    document = json.loads(body)
    operation = request_of(body, "job.json").operation
    holder = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(some.sampled_from(keys))
        inner = holder[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(some.booleans()):
            holder[key] = junk
            break
        holder = inner
    checker = Checker()
    checker.requests([request_of(json.dumps(document, indent=1), "job.json", operation)])
    assert all(finding.line >= 1 for finding in checker.report.findings)


@pytest.mark.parametrize("body", BODIES)
def test_an_operation_is_recognised_by_its_members(body: str) -> None:
    names = {"TrainingJobName": "CreateTrainingJob", "EndpointConfigName": "CreateEndpointConfig",
             "TransformJobName": "CreateTransformJob"}  # fmt: skip
    operation = next((o for n, o in names.items() if n in json.loads(body)), "CreateModel")
    assert request_of(body, "job.json").operation == operation
