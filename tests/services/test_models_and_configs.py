"""Models and endpoint configurations: recorded, described as sent, refused in AWS's words."""

from __future__ import annotations

from typing import Any

import pytest

from services.desk import IMAGE, MODEL_DATA, ROLE, Desk, variant

MODEL_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model/"
CONFIG_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/"


@pytest.mark.evidence("recorded", "control-plane reference, finding C: SDK v3 refuses VpcConfig {}")
def test_a_model_is_described_as_it_was_sent(desk: Desk) -> None:
    box = {"Image": IMAGE, "ModelDataUrl": MODEL_DATA, "Environment": {}}
    desk.sagemaker("CreateModel", ModelName="M", ExecutionRoleArn=ROLE, PrimaryContainer=box)
    shown = desk.sagemaker("DescribeModel", ModelName="M")
    created = shown.pop("CreationTime")
    assert created.tzinfo is not None
    assert shown == {
        "ModelName": "M",
        "ModelArn": MODEL_ARN + "m",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": box,
        "EnableNetworkIsolation": False,
    }


@pytest.mark.evidence("recorded", "sagemaker-python-sdk issue 608")
def test_model_data_that_is_not_there_is_refused_with_its_address(desk: Desk) -> None:
    box = {"Image": IMAGE, "ModelDataUrl": "s3://data/model.tar"}  # beginning of a key only
    refused = desk.refusal(
        "sagemaker", "CreateModel", ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=box
    )
    assert refused.code == "ValidationException"
    assert refused.message == "Could not find model data at s3://data/model.tar."
    assert desk.models.find() == []


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ({}, "either a PrimaryContainer or Containers"),
        ({"PrimaryContainer": {"Image": IMAGE}, "Containers": [{"Image": IMAGE}]}, "not both"),
        ({"PrimaryContainer": {"ModelDataUrl": MODEL_DATA}}, "no Image"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "ModelPackageName"),
    ],
)
def test_a_model_needs_one_way_to_serve_it(
    desk: Desk, containers: dict[str, Any], words: str
) -> None:
    refused = desk.refusal(
        "sagemaker", "CreateModel", ModelName="m", ExecutionRoleArn=ROLE, **containers
    )
    assert words in refused.message


def test_uncompressed_and_multi_model_data_are_looked_for_as_what_they_are(desk: Desk) -> None:
    source = {"S3Uri": "s3://data/in/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    desk.make_model("prefix", ModelDataUrl=None, ModelDataSource={"S3DataSource": source})
    desk.make_model("many", ModelDataUrl="s3://data/empty/", Mode="MultiModel")
    assert {model.name for model in desk.models.find()} == {"prefix", "many"}


@pytest.mark.evidence("recorded", "spot-tagging-bot issue 2 and others, for configurations")
def test_a_second_one_of_that_name_cannot_be_created(desk: Desk) -> None:
    desk.make_model("one")
    desk.make_config("one", "one")
    box = {"Image": IMAGE}
    refused = desk.refusal("sagemaker", "CreateModel", ModelName="one", PrimaryContainer=box)
    assert refused.message == f'Cannot create already existing model "{MODEL_ARN}one".'
    refused = desk.refusal(
        "sagemaker",
        "CreateEndpointConfig",
        EndpointConfigName="one",
        ProductionVariants=[variant("one")],
    )
    assert refused.code == "ValidationException"
    assert (
        refused.message
        == f'Cannot create already existing endpoint configuration "{CONFIG_ARN}one".'
    )


@pytest.mark.evidence("sdk-source", "sagemaker 1.72 deploy goes on only for 'Could not find'")
@pytest.mark.parametrize("verb", ["Describe", "Delete"])
def test_what_is_not_there_could_not_be_found(desk: Desk, verb: str) -> None:
    refused = desk.refusal("sagemaker", f"{verb}Model", ModelName="No")
    assert (refused.code, refused.status) == ("ValidationException", 400)
    assert refused.message == f'Could not find model "{MODEL_ARN}no".'
    refused = desk.refusal("sagemaker", f"{verb}EndpointConfig", EndpointConfigName="no")
    assert refused.message == f'Could not find endpoint configuration "{CONFIG_ARN}no".'


def test_a_deleted_one_is_gone_and_its_tags_with_it(desk: Desk) -> None:
    desk.make_model("m")
    desk.make_config("c", "m", Tags=[{"Key": "k", "Value": "v"}])
    desk.sagemaker("DeleteEndpointConfig", EndpointConfigName="c")
    desk.sagemaker("DeleteModel", ModelName="m")
    assert "Could not find" in desk.refusal("sagemaker", "DescribeModel", ModelName="m").message
    desk.make_model("m")
    desk.make_config("c", "m")
    assert desk.sagemaker("ListTags", ResourceArn=CONFIG_ARN + "c")["Tags"] == []


@pytest.mark.evidence("recorded", "control-plane reference, finding C: DataCaptureConfig {}")
def test_a_configuration_is_described_as_it_was_sent(desk: Desk) -> None:
    desk.make_model("m")
    sent = [variant("m", InitialVariantWeight=1.0), variant("m", "Other")]
    desk.sagemaker("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=sent)
    shown = desk.sagemaker("DescribeEndpointConfig", EndpointConfigName="c")
    del shown["CreationTime"]
    assert shown == {
        "EndpointConfigName": "c",
        "EndpointConfigArn": CONFIG_ARN + "c",
        "ProductionVariants": sent,
        "EnableNetworkIsolation": False,
    }


VARIANTS: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "unknown model": (
        [variant("nope")],
        "ValidationException",
        f'Could not find model "{MODEL_ARN}nope".',
    ),
    "one name twice": ([variant("m"), variant("m")], "ValidationException", "'AllTraffic' 2 times"),
    "no instances": (
        [{"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large"}],
        "ValidationException",
        "no InitialInstanceCount",
    ),
    "serverless with instances": (
        [variant("m", ServerlessConfig={"MemorySizeInMB": 2048, "MaxConcurrency": 5})],
        "ValidationException",
        "ServerlessConfig",
    ),
    "no model": ([{"VariantName": "v"}], "NotImplemented", "inference components"),
}


@pytest.mark.parametrize(("variants", "code", "words"), VARIANTS.values(), ids=VARIANTS.keys())
def test_a_refused_configuration_says_why_and_is_not_recorded(
    desk: Desk, variants: list[dict[str, Any]], code: str, words: str
) -> None:
    desk.make_model("m")
    ask = {"EndpointConfigName": "c", "ProductionVariants": variants}
    refused = desk.refusal("sagemaker", "CreateEndpointConfig", **ask)
    assert refused.code == code
    assert words in refused.message
    assert desk.configs.find() == []


def test_shadow_variants_and_explainers_are_refused_plainly(desk: Desk) -> None:
    desk.make_model("m")
    ask = {"EndpointConfigName": "c", "ProductionVariants": [variant("m")]}
    shadow = {"ShadowProductionVariants": [variant("m", "Shadow")]}
    refused = desk.refusal("sagemaker", "CreateEndpointConfig", **ask, **shadow)
    assert (refused.code, refused.status) == ("NotImplemented", 501)
    assert "ShadowProductionVariants" in refused.message
