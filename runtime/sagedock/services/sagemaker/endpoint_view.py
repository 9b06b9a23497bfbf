"""What the API shows of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagedock.domain.hosting import Endpoint, VariantState
from sagedock.domain.resource import EndpointConfig
from sagedock.domain.states import CREATING, UPDATING

_OF_VARIANT = ("ManagedInstanceScaling", "RoutingConfig")
_OF_CONFIG = ("AsyncInferenceConfig", "MetricsConfig")


def described(endpoint: Endpoint, config: EndpointConfig | None) -> dict[str, Any]:
    """DescribeEndpoint; `config` is the one it serves, None when that was deleted meanwhile.

    An endpoint that was never in service has no ProductionVariants yet, only a
    PendingDeploymentSummary, which it also has while it goes to another configuration
    (API_DescribeEndpoint.html: "only returned when the endpoint is creating or updating with a new
    endpoint configuration").
    """
    record: dict[str, Any] = {
        **summarized(endpoint),
        "EndpointConfigName": endpoint.config_name,
        "FailureReason": endpoint.failure_reason,
    }
    asked = {} if config is None else {v["VariantName"]: v for v in config.variants}
    if endpoint.status != CREATING and endpoint.variants:
        record["ProductionVariants"] = [
            _variant(state, asked.get(state.name, {}), endpoint) for state in endpoint.variants
        ]
    pending = endpoint.config_name if endpoint.status == CREATING else endpoint.next_config_name
    if pending is not None and endpoint.status in (CREATING, UPDATING):
        record["PendingDeploymentSummary"] = {
            "EndpointConfigName": pending,
            "StartTime": endpoint.modified,
        }
    if "DeploymentConfig" in endpoint.request:
        record["LastDeploymentConfig"] = endpoint.request["DeploymentConfig"]
    if config is not None:
        record.update({m: config.request[m] for m in _OF_CONFIG if m in config.request})
        if "DataCaptureConfig" in config.request:
            record["DataCaptureConfig"] = _data_capture(config.request["DataCaptureConfig"])
    return record


def summarized(endpoint: Endpoint) -> dict[str, Any]:
    """An entry of ListEndpoints."""
    return {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "CreationTime": endpoint.created,
        "LastModifiedTime": endpoint.modified,
        "EndpointStatus": endpoint.status,
    }


def _variant(state: VariantState, asked: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "VariantName": state.name,
        "DeployedImages": [
            {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": endpoint.created}
            for image in state.images
        ],
        "CurrentWeight": state.current_weight,
        "DesiredWeight": state.desired_weight,
    }
    serverless = asked.get("ServerlessConfig")
    if serverless is None:
        shown["CurrentInstanceCount"] = state.current_count
        shown["DesiredInstanceCount"] = state.desired_count
    else:
        shown["CurrentServerlessConfig"] = serverless
    shown.update({member: asked[member] for member in _OF_VARIANT if member in asked})
    return shown


def _data_capture(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Data capture is recorded but not done, and CaptureStatus says so."""
    return {
        "EnableCapture": asked.get("EnableCapture", True),
        "CaptureStatus": "Stopped",
        "CurrentSamplingPercentage": asked["InitialSamplingPercentage"],
        "DestinationS3Uri": asked["DestinationS3Uri"],
        "KmsKeyId": asked.get("KmsKeyId", ""),
    }
