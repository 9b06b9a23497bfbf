"""Models: create, describe, list, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagedock.aws.model import project
from sagedock.domain.arns import sagemaker_arn
from sagedock.domain.resource import Model
from sagedock.errors import NotEmulated, ValidationException
from sagedock.services.listing import ListRules, find_page
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.rooms import ObjectLookup
from sagedock.services.sagemaker.s3_data import is_object, is_prefix
from sagedock.services.sagemaker.tag_rules import checked_tags
from sagedock.store.resources import AlreadyExists, NotFound, Resources

_LIST = ListRules("ListModels", after_is_inclusive=True)


class ModelOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html and its
    neighbours."""

    service = "sagemaker"

    def __init__(self, models: Resources[Model], objects: ObjectLookup) -> None:
        self._models, self._objects = models, objects

    @operation("CreateModel")
    def create(self, request: Request, context: Context) -> Answer:
        """Record the model; its data must be there, its image is looked for when it is deployed."""
        name = request["ModelName"]
        arn = sagemaker_arn(context.region, context.account, Model.kind, name)
        for container in _containers(request):
            self._check(container)
        tags = checked_tags(request.get("Tags", ()))
        sent = {member: value for member, value in request.items() if member != "Tags"}
        now = context.now()
        try:
            self._models.add(
                Model(name=name, arn=arn, created=now, modified=now, request=sent), tags
            )
        except AlreadyExists as taken:
            raise refusals.already_exists(Model.noun, taken.existing) from None
        return {"ModelArn": arn}

    @operation("DescribeModel")
    def describe(self, request: Request, context: Context) -> Answer:
        """The request as sent; EnableNetworkIsolation in any case."""
        model = get_model(self._models, request["ModelName"], context)
        return project("sagemaker", "DescribeModel", described_model(model))

    @operation("ListModels")
    def list(self, request: Request, context: Context) -> Answer:
        """Summaries, newest first unless asked otherwise."""
        page = find_page(self._models, request, _LIST)
        return page.answer("Models", [_summarized(model) for model in page.items])

    @operation("DeleteModel")
    def delete(self, request: Request, context: Context) -> Answer:
        """Forget the model; what serves it goes on (API_DeleteModel.html)."""
        try:
            self._models.delete(request["ModelName"])
        except NotFound:
            raise _not_found(request["ModelName"], context) from None
        return {}

    def _check(self, container: Mapping[str, Any]) -> None:
        for member in ("ModelPackageName", "AdditionalModelDataSources"):
            if container.get(member):
                raise NotEmulated(
                    "sagemaker",
                    f"CreateModel with {member}",
                    "Name an Image and its ModelDataUrl instead.",
                )
        if not container.get("Image"):
            raise ValidationException(
                "A container definition has no Image: name the image that serves the model."
            )
        uri, found = container.get("ModelDataUrl"), is_object
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source:
            uri = source["S3Uri"]
            found = is_prefix if source["S3DataType"] == "S3Prefix" else is_object
        elif container.get("Mode") == "MultiModel":
            return  # a prefix that may still be empty (docs: models are added while it serves)
        if uri and not found(self._objects, uri):
            raise refusals.no_model_data(uri)


def get_model(models: Resources[Model], name: str, context: Context) -> Model:
    """Raises ValidationException "Could not find model"."""
    try:
        return models.get(name)
    except NotFound:
        raise _not_found(name, context) from None


def described_model(model: Model) -> dict[str, Any]:
    """DescribeModel, before projection."""
    return {"EnableNetworkIsolation": False, **model.request, **_summarized(model)}


def _summarized(model: Model) -> dict[str, Any]:
    return {"ModelName": model.name, "ModelArn": model.arn, "CreationTime": model.created}


def _not_found(name: str, context: Context) -> ValidationException:
    arn = sagemaker_arn(context.region, context.account, Model.kind, name)
    return refusals.not_found(Model.noun, arn)


def _containers(request: Request) -> list[Mapping[str, Any]]:
    primary, others = request.get("PrimaryContainer"), request.get("Containers")
    if (primary is None) == (not others):
        raise ValidationException(
            "CreateModel needs either a PrimaryContainer or Containers, and not both."
        )
    return [primary] if primary is not None else list(others or ())
