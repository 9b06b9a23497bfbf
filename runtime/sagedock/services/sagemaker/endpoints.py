"""Endpoints: create, describe, list, update, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sagedock.aws.model import project
from sagedock.domain.arns import sagemaker_arn
from sagedock.domain.hosting import Endpoint, VariantState
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.domain.states import DELETING, FAILED, UPDATING
from sagedock.errors import NotEmulated, ValidationException
from sagedock.services.listing import ListRules, find_page
from sagedock.services.operation import Answer, Context, Held, Request, operation
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.endpoint_configs import get_config
from sagedock.services.sagemaker.endpoint_view import described, summarized
from sagedock.services.sagemaker.models import get_model
from sagedock.services.sagemaker.rooms import EndpointKeeper, News
from sagedock.services.sagemaker.tag_rules import checked_tags
from sagedock.store.resources import AlreadyExists, NotFound, Outdated, Resources

_LIST = ListRules("ListEndpoints", after_is_inclusive=True)
_OF_UPDATE = (
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "DeploymentConfig",
)


@dataclass(frozen=True, slots=True)
class HostingResources:
    """The three kinds that hosting is made of."""

    models: Resources[Model]
    configs: Resources[EndpointConfig]
    endpoints: Resources[Endpoint]


class EndpointOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html and its
    neighbours. The API records what is wanted; the endpoint's own thread does it."""

    service = "sagemaker"

    def __init__(self, resources: HostingResources, hosting: EndpointKeeper, news: News) -> None:
        self._models, self._configs = resources.models, resources.configs
        self._endpoints = resources.endpoints
        self._hosting, self._news = hosting, news

    @operation("CreateEndpoint")
    def create(self, request: Request, context: Context) -> Answer:
        """Record it as Creating and bring it up."""
        name, config_name = request["EndpointName"], request["EndpointConfigName"]
        arn = sagemaker_arn(context.region, context.account, Endpoint.kind, name)
        _check_deployment(request)
        config = get_config(self._configs, config_name, context)
        tags = checked_tags(request.get("Tags", ()))
        sent = {member: value for member, value in request.items() if member != "Tags"}
        now = context.now()
        wanted = Endpoint(
            name=name,
            arn=arn,
            created=now,
            modified=now,
            request=sent,
            config_name=config_name,
            variants=self._variants(config, context),
            # SDK v1 and v2 send `Tags: []` where the user gave none (recorded); nobody does it by
            # hand. Under a new boto3 nothing else tells SDK v1 from any other program.
            made_by_sdk=request.get("Tags") == [],
        )
        try:
            endpoint = self._endpoints.add(wanted, tags)
        except AlreadyExists as taken:
            raise refusals.already_exists(Endpoint.noun, taken.existing) from None
        self._hosting.create(endpoint)
        return {"EndpointArn": arn}

    @operation("DescribeEndpoint")
    def describe(self, request: Request, context: Context) -> Answer | Held:
        """Its state; held while it is in transition."""
        endpoint = self._endpoint(request["EndpointName"], context)
        try:
            config = self._configs.get(endpoint.config_name)
        except NotFound:
            config = None
        answer = project("sagemaker", "DescribeEndpoint", described(endpoint, config))
        if endpoint.in_transition:
            return Held(answer, endpoint.arn, endpoint.version, endpoint.made_by_sdk)
        return answer

    @operation("ListEndpoints")
    def list(self, request: Request, context: Context) -> Answer:
        """Summaries, newest first unless asked otherwise."""
        page = find_page(self._endpoints, request, _LIST)
        return page.answer("Endpoints", [summarized(endpoint) for endpoint in page.items])

    @operation("UpdateEndpoint")
    def update(self, request: Request, context: Context) -> Answer:
        """Take it to another configuration; it goes on answering meanwhile.

        The request's RetainAllVariantProperties and ExcludeRetainedVariantProperties are kept with
        the endpoint, where the lifecycle finds them.
        """
        _check_deployment(request)
        config = get_config(self._configs, request["EndpointConfigName"], context)
        self._variants(config, context)  # raises when a model of it is gone
        kept = {member: request[member] for member in _OF_UPDATE if member in request}

        def updating(endpoint: Endpoint) -> Endpoint:
            _refuse_unless_in_service(endpoint)
            last = {} if request.get("RetainDeploymentConfig") else _OF_UPDATE
            sent = {m: value for m, value in endpoint.request.items() if m not in last}
            moved = endpoint.moved_to(UPDATING, context.now())
            return replace(moved, next_config_name=config.name, request={**sent, **kept})

        endpoint = self._change(request["EndpointName"], context, updating)
        self._hosting.update(endpoint)
        return {"EndpointArn": endpoint.arn}

    @operation("UpdateEndpointWeightsAndCapacities")
    def update_weights(self, request: Request, context: Context) -> Answer:
        """Give variants other weights or instance counts; Updating until that is done."""
        wanted: dict[str, tuple[float | None, int | None]] = {}
        for wish in request["DesiredWeightsAndCapacities"]:
            _check_wish(wish, wanted)
            weight, count = wish.get("DesiredWeight"), wish.get("DesiredInstanceCount")
            wanted[wish["VariantName"]] = (weight, count)

        def updating(endpoint: Endpoint) -> Endpoint:
            _refuse_unless_in_service(endpoint)
            known = [variant.name for variant in endpoint.variants]
            for name in wanted:
                if name not in known:
                    raise ValidationException(
                        f'Could not find variant "{name}" of endpoint "{endpoint.arn}". Its '
                        f"variants are: {', '.join(known)}."
                    )
            return endpoint.moved_to(UPDATING, context.now())

        endpoint = self._change(request["EndpointName"], context, updating)
        self._hosting.set_weights(endpoint, wanted)
        return {"EndpointArn": endpoint.arn}

    @operation("DeleteEndpoint")
    def delete(self, request: Request, context: Context) -> Answer:
        """Stop it and forget it. As in the service, one in transition cannot be deleted: users
        report that an endpoint stays Creating until it has failed."""

        def deleting(endpoint: Endpoint) -> Endpoint:
            if endpoint.in_transition:
                raise refusals.endpoint_in_progress(endpoint.arn)
            return endpoint.moved_to(DELETING, context.now())

        self._hosting.delete(self._change(request["EndpointName"], context, deleting))
        return {}

    def _endpoint(self, name: str, context: Context) -> Endpoint:
        try:
            return self._endpoints.get(name)
        except NotFound:
            arn = sagemaker_arn(context.region, context.account, Endpoint.kind, name)
            raise refusals.not_found(Endpoint.noun, arn) from None

    def _variants(self, config: EndpointConfig, context: Context) -> tuple[VariantState, ...]:
        found: list[VariantState] = []
        for variant in config.variants:
            model = get_model(self._models, variant["ModelName"], context)
            images = tuple(c["Image"] for c in model.containers if c.get("Image"))
            found.append(VariantState.of(variant, images))
        return tuple(found)

    def _change(self, name: str, context: Context, how: Callable[[Endpoint], Endpoint]) -> Endpoint:
        """Save `how(endpoint)`, redone when somebody else saved meanwhile, and tell who waits."""
        while True:
            current = self._endpoint(name, context)
            try:
                saved = self._endpoints.save(how(current))
            except (Outdated, NotFound):
                continue  # changed or gone: the next look tells
            self._news.notify(saved.arn)
            return saved


def _refuse_unless_in_service(endpoint: Endpoint) -> None:
    if endpoint.status == FAILED:
        # API_DescribeEndpoint.html on Failed; AWS's own words are not known.
        raise ValidationException(
            f'Cannot update endpoint "{endpoint.arn}" in status Failed: DeleteEndpoint is the only '
            "operation that can be performed on a failed endpoint."
        )
    if endpoint.in_transition:
        raise refusals.endpoint_in_progress(endpoint.arn)


def _check_wish(wish: Mapping[str, Any], before: Mapping[str, object]) -> None:
    name = wish["VariantName"]
    if name in before:
        raise ValidationException(
            f"DesiredWeightsAndCapacities names the variant '{name}' more than once."
        )
    if wish.get("DesiredInstanceCount", 1) < 1:
        raise ValidationException(
            f"DesiredInstanceCount of variant '{name}' is 0. A variant needs at least one "
            "instance: give it DesiredWeight 0 to take its traffic away."
        )
    if "ServerlessUpdateConfig" in wish:
        raise NotEmulated(
            "sagemaker",
            "UpdateEndpointWeightsAndCapacities with ServerlessUpdateConfig",
            "Serverless variants have one model server here, whatever their concurrency.",
        )


def _check_deployment(request: Request) -> None:
    """A new fleet takes all traffic at once; what else there is in the cloud is refused."""
    deployment = request.get("DeploymentConfig", {})
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    other = routing.get("Type", "ALL_AT_ONCE")
    if "RollingUpdatePolicy" in deployment:
        other = "RollingUpdatePolicy"
    if other != "ALL_AT_ONCE":
        raise NotEmulated(
            "sagemaker",
            f"deployments of type {other}",
            "Use BlueGreenUpdatePolicy with ALL_AT_ONCE, or leave DeploymentConfig out.",
        )
