"""What AWS's models forbid, in AWS's words."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from sagedock.aws import model, patterns
from sagedock.aws.findings import shown_value
from sagedock.aws.model import Call, Shape
from sagedock.aws.validation import validate
from sagedock.errors import ServiceError, ValidationException
from wire.loopback import Loopback
from wire.oracle import Values, operations

CREATE = Call("sagemaker", "CreateTrainingJob", "json")


def training_job(**changes: Any) -> dict[str, Any]:
    request = {
        "TrainingJobName": "mnist-2024",
        "RoleArn": "arn:aws:iam::000000000000:role/AmazonSageMaker-ExecutionRole",
        "AlgorithmSpecification": {"TrainingImage": "mxnet:1.9", "TrainingInputMode": "File"},
        "HyperParameters": {"epochs": "3"},
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/k"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m4.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "Tags": [{"Key": "für", "Value": "größe 日本"}],
    }
    return request | changes


def refusal(call: Call, params: dict[str, Any]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        validate(call, params)
    return caught.value


def error_of(call: Call, params: dict[str, Any]) -> ServiceError | None:
    try:
        validate(call, params)
    except ServiceError as error:
        return error
    return None


def test_a_good_request_passes() -> None:
    validate(CREATE, training_job())


@pytest.mark.evidence("recorded", "aws/aws-sdk 165 and others: public reports of AWS's answers")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"TrainingJobName": "a_b!"},
            "Value 'a_b!' at 'trainingJobName' failed to satisfy constraint: Member must satisfy "
            "regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
        ),
        (
            {"RoleArn": None},
            "Value null at 'roleArn' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "Tape"}},
            "Value 'Tape' at 'algorithmSpecification.trainingInputMode' failed to satisfy "
            "constraint: Member must satisfy enum value set: [Pipe, File, FastFile]",
        ),
        (
            {"ResourceConfig": {"VolumeSizeInGB": 30, "InstanceCount": -1}},
            "Value '-1' at 'resourceConfig.instanceCount' failed to satisfy constraint: Member "
            "must have value greater than or equal to 0",
        ),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "Value '0' at 'stoppingCondition.maxRuntimeInSeconds' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
        (
            {"HyperParameters": {"good": "1", "x": "z" * 2501}},
            "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy "
            "constraint: [Member must have length less than or equal to 2500, Member must have "
            "length greater than or equal to 0, Member must satisfy regular expression pattern: "
            ".*]",
        ),
        (
            {"HyperParameters": {"k" * 257: "1"}},
            "at 'hyperParameters' failed to satisfy constraint: Map keys must satisfy constraint: "
            "[Member must have length less than or equal to 256",
        ),
        (
            {"HyperParameters": {str(n): "" for n in range(101)}},
            "at 'hyperParameters' failed to satisfy constraint: Member must have length less than "
            "or equal to 100",
        ),
        (
            {"InputDataConfig": [{"ChannelName": "a b", "DataSource": {}}]},
            "Value 'a b' at 'inputDataConfig.1.member.channelName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [A-Za-z0-9\\.\\-_]+",
        ),
        (
            {"InputDataConfig": [{"ChannelName": "a"}]},
            "Value null at 'inputDataConfig.1.member.dataSource' failed to satisfy constraint: "
            "Member must not be null",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": ["sg-1", "!!"], "Subnets": ["s"]}},
            "Value '[!!]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member "
            "must satisfy constraint: [Member must have length less than or equal to 32",
        ),
        (
            {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": []}},
            "Value '[]' at 'vpcConfig.subnets' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1",
        ),
        (
            {"Tags": [None]},
            "Value null at 'tags.1.member' failed to satisfy constraint: Member must not be null",
        ),
        (
            {"HyperParameters": {"a": None}},
            "Value null at 'hyperParameters.a.member' failed to satisfy constraint: Member must "
            "not be null",
        ),
    ],
)
def test_each_constraint_is_named_with_place_and_value(changes: dict[str, Any], said: str) -> None:
    error = refusal(CREATE, training_job(**changes))

    assert isinstance(error, ValidationException)
    assert error.message.startswith("1 validation error detected: Value")
    assert said in error.message


def test_all_findings_come_in_one_answer() -> None:
    error = refusal(CREATE, training_job(TrainingJobName="a" * 64 + "!", RoleArn="x"))

    assert error.message.startswith("4 validation errors detected: Value '")
    assert error.message.count("; Value '") == 3


def test_a_clients_newer_members_are_passed_over() -> None:
    validate(CREATE, training_job(Teleport={"To": 1}))


@pytest.mark.parametrize(
    "changes",
    [
        {"TrainingJobName": 7},
        {"ResourceConfig": {"InstanceCount": True, "VolumeSizeInGB": 1}},
        {"ResourceConfig": []},
        {"InputDataConfig": {}},
        {"HyperParameters": {"a": 1}},
        {"Tags": ["a"]},
        {"EnableNetworkIsolation": "yes"},
    ],
)
def test_a_value_of_another_type_is_a_serialization_error(changes: dict[str, Any]) -> None:
    error = refusal(CREATE, training_job(**changes))

    assert (error.code, error.status) == ("SerializationException", 400)


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("logs", "PutRetentionPolicy", {}, "InvalidParameterException"),
        ("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "a_b"}, "ValidationError"),
        ("sts", "AssumeRole", {}, "ValidationError"),
        ("cloudwatch", "GetMetricStatistics", {}, "ValidationError"),
        ("s3", "DeleteObjects", {"Bucket": "b"}, "MissingRequestBodyError"),
        ("s3", "DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{}]}}, "MalformedXML"),
    ],
)
def test_services_call_it_by_their_own_codes(
    service: str, operation: str, params: dict[str, Any], code: str
) -> None:
    error = refusal(Call(service, operation, "json"), params)

    assert (error.code, error.status) == (code, 400)


def test_s3_and_identity_keep_their_own_errors_for_values() -> None:
    validate(Call("s3", "PutObjectAcl", "rest-xml"), {"Bucket": "!", "Key": "k", "ACL": "any"})
    validate(Call("iam", "GetRole", "query"), {"RoleName": "!" * 500})


def test_secrets_are_not_repeated() -> None:
    call = Call("iam", "CreateLoginProfile", "query")

    error = refusal(call, {"UserName": "u", "Password": ["hunter2"]})

    assert "hunter2" not in error.message


def test_sensitive_values_are_left_out_of_the_text() -> None:
    call = Call("sagemaker-runtime", "InvokeEndpoint", "rest-json")

    error = refusal(call, {"EndpointName": "e", "Body": b"", "CustomAttributes": "größe"})

    assert "Value at 'customAttributes' failed" in error.message
    assert "größe" not in error.message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "'true'"),
        ({"a": [1, "b"]}, "'{a=[1, b]}'"),
        (b"123", "'3 bytes'"),
        ("x" * 121, f"'{'x' * 120}…'"),
    ],
)
def test_values_are_shown_as_java_prints_them_and_cut(value: Any, shown: str) -> None:
    assert shown_value(value) == shown


def test_every_pattern_of_every_model_compiles() -> None:
    for service in model.SERVICES:
        for name in model.operation_names(service):
            for pattern in _patterns(model.operation(service, name).input, set()):
                assert re.compile(patterns.translated(pattern)), pattern


def _patterns(shape: Shape | None, seen: set[str]) -> set[str]:
    if shape is None or shape.name in seen:
        return set()
    seen.add(shape.name)
    inner = {
        "structure": lambda: list(shape.members.values()),
        "list": lambda: [shape.member],
        "map": lambda: [shape.key, shape.value],
    }.get(shape.kind, list)()
    found = {shape.pattern} if shape.pattern else set()
    return found.union(*(_patterns(each, seen) for each in inner))


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "für 日本_1@x", "a\tb"),
        (r"\p{ASCII}*", "abc~", "ä"),
        (r"\A\S[\p{Print}]*\z", "id 7", " id"),
        (r"arn:[\p{Alnum}\-]+", "arn:aws-cn", "arn:aws_cn"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a😀ß\t", "a\x01"),
        (r"[\w-_]*", "a-b_c", "a b"),
        (r"([\p{L}]*)${1,128}", "abc", "a b"),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", "é€1!", "a b"),
    ],
)
def test_javas_patterns_mean_the_same_here(pattern: str, good: str, bad: str) -> None:
    compiled = patterns.compiled(pattern)

    assert compiled is not None
    assert compiled.fullmatch(good)
    assert not compiled.fullmatch(bad)


def test_a_pattern_that_cannot_be_expressed_is_not_checked() -> None:
    assert patterns.compiled(r"\p{Greek}+") is None


def test_a_pattern_that_would_take_hours_is_not_checked() -> None:
    url = "https://" + "a" * 500 + "!"
    config = {"RepositoryUrl": url}

    validate(
        Call("sagemaker", "CreateCodeRepository", "json"),
        {"CodeRepositoryName": "c", "GitConfig": config},
    )


def test_every_finding_about_a_random_request_names_a_place() -> None:
    places = re.compile(r"Value.* at '[a-zA-Z0-9].*' failed to satisfy constraint: M", re.DOTALL)
    for operation in operations("sagemaker"):
        params = Values(operation.name, milliseconds=False).of(operation.input_shape)
        call = Call("sagemaker", operation.name, "json")
        error = error_of(call, params)
        if error:
            count, _, findings = error.message.partition(" detected: ")
            assert re.fullmatch(r"\d+ validation errors?", count)
            assert places.match(findings), operation.name


def test_a_request_with_anything_removed_or_replaced_is_never_our_fault() -> None:
    chance = random.Random(7)
    odd = [None, 1, "", [], {}, True, 1.5, [None], {"a": None}, "x" * 3000, [[]], b"1"]
    for _ in range(400):
        request = training_job()
        request[chance.choice(list(request))] = chance.choice(odd)
        error = error_of(CREATE, request)
        assert error is None or error.status == 400


def test_boto3_shows_the_text_to_its_user() -> None:
    client = Loopback().client("sagemaker")

    with pytest.raises(client.exceptions.ClientError) as caught:
        client.describe_training_job(TrainingJobName="a_b!")

    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert "1 validation error detected: Value 'a_b!' at 'trainingJobName'" in str(caught.value)
