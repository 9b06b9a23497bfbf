"""Endpoints: the API records what is wanted and asks the lifecycle; what may be asked when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sagedock.services.operation import Held
from services.desk import IMAGE, Desk, variant

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/"


def _describe(desk: Desk, name: str) -> dict[str, Any]:
    return desk.sagemaker("DescribeEndpoint", EndpointName=name)


@pytest.fixture
def creating(desk: Desk) -> Desk:
    """An endpoint `e` that is Creating, and a second configuration."""
    desk.make_model("m")
    desk.make_config("one", "m")
    desk.make_config("two", "m")
    desk.sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    return desk


@pytest.fixture
def serving(creating: Desk) -> Desk:
    creating.settle("e")
    return creating


@pytest.mark.evidence("docs", "API_DescribeEndpoint.html: PendingDeploymentSummary")
def test_a_new_endpoint_is_creating_and_its_description_is_held(creating: Desk) -> None:
    held = creating.ask("sagemaker", "DescribeEndpoint", EndpointName="e")
    assert isinstance(held, Held)
    assert (held.resource, held.version) == (ARN + "e", 1)
    assert held.answer["EndpointStatus"] == "Creating"
    assert held.answer["PendingDeploymentSummary"]["EndpointConfigName"] == "one"
    assert "ProductionVariants" not in held.answer
    assert creating.hosting.orders == [("create", "e", "Creating")]


@pytest.mark.evidence("recorded", "CreateEndpoint of SDK v1 1.72: Tags: []")
def test_an_endpoint_that_an_sdk_made_is_known_to_be_polled(creating: Desk) -> None:
    creating.ask("sagemaker", "CreateEndpoint", EndpointName="s", EndpointConfigName="one", Tags=[])

    by_sdk = creating.ask("sagemaker", "DescribeEndpoint", EndpointName="s")
    by_hand = creating.ask("sagemaker", "DescribeEndpoint", EndpointName="e")
    assert (by_sdk.is_polled, by_hand.is_polled) == (True, False)


def test_an_endpoint_in_service_shows_its_variants(serving: Desk) -> None:
    shown = _describe(serving, "e")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("InService", "one")
    (only,) = shown["ProductionVariants"]
    assert only["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert {k: only[k] for k in only if k not in ("DeployedImages",)} == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert not {"FailureReason", "DataCaptureConfig", "PendingDeploymentSummary"} & set(shown)


def test_an_endpoint_shows_what_its_configuration_says_of_async_and_capture(desk: Desk) -> None:
    desk.make_model("m")
    output = {"OutputConfig": {"S3OutputPath": "s3://data/async"}}
    capture = {
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://d",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    desk.make_config("c", "m", AsyncInferenceConfig=output, DataCaptureConfig=capture)
    desk.sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    shown = _describe(desk, "e")
    assert shown["AsyncInferenceConfig"] == output
    assert shown["DataCaptureConfig"]["CaptureStatus"] == "Stopped"  # recorded, never done


@pytest.mark.evidence("recorded", "sagemaker-python-sdk issue 101")
def test_creating_is_refused_for_a_taken_name_and_for_an_unknown_configuration(
    creating: Desk,
) -> None:
    ask = {"EndpointName": "e", "EndpointConfigName": "one"}
    refused = creating.refusal("sagemaker", "CreateEndpoint", **ask)
    assert refused.message == f'Cannot create already existing endpoint "{ARN}e".'
    ask = {"EndpointName": "f", "EndpointConfigName": "none"}
    refused = creating.refusal("sagemaker", "CreateEndpoint", **ask)
    assert refused.code == "ValidationException"
    assert refused.message.startswith("Could not find endpoint configuration")
    assert len(creating.hosting.orders) == 1


def test_creating_is_refused_when_a_model_is_gone(desk: Desk) -> None:
    desk.make_model("m")
    desk.make_config("c", "m")
    desk.sagemaker("DeleteModel", ModelName="m")
    refused = desk.refusal("sagemaker", "CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert refused.message.startswith("Could not find model")
    assert desk.endpoints.find() == []


@pytest.mark.evidence("recorded", "amazon-sagemaker-operator-for-k8s, error prefixes")
@pytest.mark.parametrize("verb", ["Describe", "Delete"])
def test_an_unknown_endpoint_could_not_be_found(desk: Desk, verb: str) -> None:
    refused = desk.refusal("sagemaker", f"{verb}Endpoint", EndpointName="No")
    assert (refused.code, refused.message) == (
        "ValidationException",
        f'Could not find endpoint "{ARN}no".',
    )


def test_an_update_is_saved_told_and_handed_to_the_lifecycle(serving: Desk) -> None:
    serving.sagemaker("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    shown = _describe(serving, "e")
    assert (shown["EndpointStatus"], shown["EndpointConfigName"]) == ("Updating", "one")
    assert shown["PendingDeploymentSummary"]["EndpointConfigName"] == "two"
    assert shown["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    assert serving.hosting.orders[-1] == ("update", "Updating", "two")
    assert serving.news.told == [ARN + "e"]
    serving.settle("e")
    assert _describe(serving, "e")["EndpointConfigName"] == "two"


@pytest.mark.evidence("recorded", "users' reports; amazon-sagemaker-operator-for-k8s")
def test_nothing_can_be_changed_or_deleted_in_transition(creating: Desk) -> None:
    words = f'Cannot update in-progress endpoint "{ARN}e".'
    ask = {"EndpointName": "e"}
    wish = [{"VariantName": "AllTraffic", "DesiredWeight": 2.0}]
    for operation, more in (
        ("UpdateEndpoint", {"EndpointConfigName": "two"}),
        ("UpdateEndpointWeightsAndCapacities", {"DesiredWeightsAndCapacities": wish}),
        ("DeleteEndpoint", {}),
    ):
        refused = creating.refusal("sagemaker", operation, **ask, **more)
        assert (refused.code, refused.message) == ("ValidationException", words)


@pytest.mark.evidence("docs", "API_DescribeEndpoint.html: Failed")
def test_a_failed_endpoint_can_only_be_deleted(creating: Desk) -> None:
    endpoint = creating.endpoints.get("e")
    creating.endpoints.save(endpoint.moved_to("Failed", creating.now(), "no ping"))
    assert _describe(creating, "e")["FailureReason"] == "no ping"
    ask = {"EndpointName": "e", "EndpointConfigName": "two"}
    refused = creating.refusal("sagemaker", "UpdateEndpoint", **ask)
    assert "DeleteEndpoint is the only operation" in refused.message
    creating.sagemaker("DeleteEndpoint", EndpointName="e")
    assert creating.hosting.orders[-1] == ("delete", "e", "Deleting")


def test_deleting_shows_until_the_lifecycle_has_forgotten_it(serving: Desk) -> None:
    serving.sagemaker("DeleteEndpoint", EndpointName="e")
    assert _describe(serving, "e")["EndpointStatus"] == "Deleting"
    serving.endpoints.delete("e")
    refused = serving.refusal("sagemaker", "DescribeEndpoint", EndpointName="e")
    assert refused.message == f'Could not find endpoint "{ARN}e".'


def test_weights_and_counts_are_handed_to_the_lifecycle(serving: Desk) -> None:
    wish = [{"VariantName": "AllTraffic", "DesiredWeight": 2.0, "DesiredInstanceCount": 3}]
    serving.sagemaker(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName="e",
        DesiredWeightsAndCapacities=wish,
    )
    assert serving.hosting.orders[-1] == ("set_weights", "Updating", {"AllTraffic": (2.0, 3)})


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ([{"VariantName": "Other"}], 'variant "Other"'),
        ([{"VariantName": "AllTraffic"}, {"VariantName": "AllTraffic"}], "more than once"),
        ([{"VariantName": "AllTraffic", "DesiredInstanceCount": 0}], "at least one"),
    ],
)
def test_wishes_that_cannot_be_are_refused(
    serving: Desk, wishes: list[dict[str, Any]], words: str
) -> None:
    ask = {"EndpointName": "e", "DesiredWeightsAndCapacities": wishes}
    refused = serving.refusal("sagemaker", "UpdateEndpointWeightsAndCapacities", **ask)
    assert (refused.code, words in refused.message) == ("ValidationException", True)
    assert serving.endpoints.get("e").status == "InService"


def test_a_deployment_that_is_not_all_at_once_is_refused_plainly(serving: Desk) -> None:
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 60}
    deployment = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}
    ask = {"EndpointName": "e", "EndpointConfigName": "two", "DeploymentConfig": deployment}
    refused = serving.refusal("sagemaker", "UpdateEndpoint", **ask)
    assert (refused.status, "CANARY" in refused.message) == (501, True)


def test_the_request_to_retain_variant_properties_is_kept_for_the_lifecycle(serving: Desk) -> None:
    exclude = [{"VariantPropertyType": "DesiredWeight"}]
    serving.sagemaker(
        "UpdateEndpoint",
        EndpointName="e",
        EndpointConfigName="two",
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=exclude,
    )
    request = serving.endpoints.get("e").request
    assert request["RetainAllVariantProperties"] is True
    assert request["ExcludeRetainedVariantProperties"] == exclude


def test_a_deleted_configuration_does_not_hide_the_endpoint(serving: Desk) -> None:
    serving.sagemaker("DeleteEndpointConfig", EndpointConfigName="one")
    assert _describe(serving, "e")["EndpointConfigName"] == "one"


def test_a_serverless_variant_shows_its_configuration_instead_of_counts(desk: Desk) -> None:
    desk.make_model("m")
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    only = {"VariantName": "v", "ModelName": "m", "ServerlessConfig": serverless}
    desk.sagemaker("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[only])
    desk.sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    desk.settle("e")
    (shown,) = _describe(desk, "e")["ProductionVariants"]
    assert shown["CurrentServerlessConfig"] == serverless
    assert "CurrentInstanceCount" not in shown


def test_an_update_that_loses_a_race_sees_the_other_ones_state(serving: Desk) -> None:
    """The lifecycle saves between our look and our save: we look again."""
    save = serving.endpoints.save
    before = serving.endpoints.get("e")

    def save_after_another(endpoint: Any) -> Any:
        serving.endpoints.save = save  # type: ignore[method-assign]
        save(replace(before, failure_reason="another saved"))
        return save(endpoint)

    serving.endpoints.save = save_after_another  # type: ignore[method-assign]
    serving.sagemaker("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    assert serving.endpoints.get("e").version == before.version + 2


def test_two_variants_keep_their_own_weights(desk: Desk) -> None:
    desk.make_model("m")
    two = [variant("m", "A", InitialVariantWeight=0.5), variant("m", "B", InitialVariantWeight=3)]
    desk.sagemaker("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=two)
    desk.sagemaker("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    desk.settle("e")
    shown = _describe(desk, "e")["ProductionVariants"]
    assert [(v["VariantName"], v["CurrentWeight"]) for v in shown] == [("A", 0.5), ("B", 3.0)]
