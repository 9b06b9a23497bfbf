"""Endpoint configurations: create, describe, list, delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from sagedock.aws.model import project
from sagedock.domain.arns import sagemaker_arn
from sagedock.domain.instances import InstanceType
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.errors import NotEmulated, ValidationException
from sagedock.services.listing import ListRules, find_page
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.models import get_model
from sagedock.services.sagemaker.tag_rules import checked_tags
from sagedock.store.resources import AlreadyExists, NotFound, Resources

_LIST = ListRules("ListEndpointConfigs", after_is_inclusive=True)

_ELSEWHERE = {
    "ShadowProductionVariants": "Invoke a second endpoint from your test instead.",
    "ExplainerConfig": "Explain predictions in the script's own handlers instead.",
}


class EndpointConfigOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html and
    its neighbours."""

    service = "sagemaker"

    def __init__(self, configs: Resources[EndpointConfig], models: Resources[Model]) -> None:
        self._configs, self._models = configs, models

    @operation("CreateEndpointConfig")
    def create(self, request: Request, context: Context) -> Answer:
        """Record the configuration; its models must be there."""
        name = request["EndpointConfigName"]
        arn = sagemaker_arn(context.region, context.account, EndpointConfig.kind, name)
        self._check(request, context)
        tags = checked_tags(request.get("Tags", ()))
        sent = {member: value for member, value in request.items() if member != "Tags"}
        now = context.now()
        config = EndpointConfig(name=name, arn=arn, created=now, modified=now, request=sent)
        try:
            self._configs.add(config, tags)
        except AlreadyExists as taken:
            raise refusals.already_exists(EndpointConfig.noun, taken.existing) from None
        return {"EndpointConfigArn": arn}

    @operation("DescribeEndpointConfig")
    def describe(self, request: Request, context: Context) -> Answer:
        """The request as sent; EnableNetworkIsolation in any case."""
        config = get_config(self._configs, request["EndpointConfigName"], context)
        record = {"EnableNetworkIsolation": False, **config.request, **_summarized(config)}
        return project("sagemaker", "DescribeEndpointConfig", record)

    @operation("ListEndpointConfigs")
    def list(self, request: Request, context: Context) -> Answer:
        """Summaries, newest first unless asked otherwise."""
        page = find_page(self._configs, request, _LIST)
        return page.answer("EndpointConfigs", [_summarized(config) for config in page.items])

    @operation("DeleteEndpointConfig")
    def delete(self, request: Request, context: Context) -> Answer:
        """Forget the configuration; endpoints that use it stay (API_DeleteEndpointConfig.html)."""
        try:
            self._configs.delete(request["EndpointConfigName"])
        except NotFound:
            raise _not_found(request["EndpointConfigName"], context) from None
        return {}

    def _check(self, request: Request, context: Context) -> None:
        for member, way_out in _ELSEWHERE.items():
            if member in request:
                raise NotEmulated("sagemaker", f"CreateEndpointConfig with {member}", way_out)
        variants = request["ProductionVariants"]
        counts = Counter(variant["VariantName"] for variant in variants)
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValidationException(
                f"ProductionVariants names the variant '{twice[0]}' {counts[twice[0]]} times. Each "
                "variant of an endpoint configuration must have a name of its own."
            )
        for variant in variants:
            _check_variant(variant)
            get_model(self._models, variant["ModelName"], context)


def get_config(configs: Resources[EndpointConfig], name: str, context: Context) -> EndpointConfig:
    """Raises ValidationException "Could not find endpoint configuration"."""
    try:
        return configs.get(name)
    except NotFound:
        raise _not_found(name, context) from None


def _check_variant(variant: Mapping[str, Any]) -> None:
    where = f"ProductionVariants '{variant['VariantName']}'"
    if not variant.get("ModelName"):
        raise NotEmulated(
            "sagemaker",
            f"CreateEndpointConfig with inference components ({where} has no ModelName)",
            "Name a model in each variant.",
        )
    if variant.get("InstancePools"):
        raise NotEmulated(
            "sagemaker",
            f"CreateEndpointConfig with InstancePools ({where})",
            "Use one InstanceType with an InitialInstanceCount.",
        )
    serverless = "ServerlessConfig" in variant
    if serverless and ("InstanceType" in variant or "InitialInstanceCount" in variant):
        raise ValidationException(
            f"{where} has a ServerlessConfig, so it cannot have an InstanceType or an "
            "InitialInstanceCount."
        )
    if not serverless:
        for member in ("InstanceType", "InitialInstanceCount"):
            if member not in variant:
                raise ValidationException(
                    f"{where} has no {member}: a variant needs an InstanceType and an "
                    "InitialInstanceCount, or a ServerlessConfig."
                )
    instance_type = variant.get("InstanceType", "")
    if "VolumeSizeInGB" in variant and InstanceType.parse(instance_type).has_own_disk:
        # As users quote it: aws/sagemaker-python-sdk#4828.
        raise ValidationException(
            "VolumeSize parameter is not allowed for the selected Instance type. "
            f"{where}: {instance_type} has a disk of its own; leave VolumeSizeInGB out."
        )


def _summarized(config: EndpointConfig) -> dict[str, Any]:
    return {
        "EndpointConfigName": config.name,
        "EndpointConfigArn": config.arn,
        "CreationTime": config.created,
    }


def _not_found(name: str, context: Context) -> ValidationException:
    arn = sagemaker_arn(context.region, context.account, EndpointConfig.kind, name)
    return refusals.not_found(EndpointConfig.noun, arn)
