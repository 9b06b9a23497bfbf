"""Rules on the requests that host a model: CreateModel, CreateEndpointConfig,
CreateTransformJob."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.request_rule import RequestRule, only_for
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.json_places import Path
from sagedock.check.subjects.request import Request
from sagedock.check.target import Target
from sagedock.domain.images import ImageReference

_SERVERLESS_MEMORY = range(1024, 6145, 1024)
_CODE_IN_MODEL = (1, 4)
"""From this version on an endpoint's code lies in model.tar.gz (sagemaker-python-sdk
mxnet/model.py, _LOWEST_MMS_VERSION)."""


def model_containers(request: Request, target: Target) -> Hits:
    primary, several = request.has("PrimaryContainer"), request.has("Containers")
    pipeline = request.has("InferenceExecutionConfig")
    if primary and several:
        told = "Containers stands beside PrimaryContainer"
        yield request.hit(("Containers",), told, of_key=True)
    elif not primary and not several and not pipeline:
        yield request.hit(("PrimaryContainer",), "neither PrimaryContainer nor Containers is there")
    for path, container in _containers(request):
        if "Image" not in container and "ModelPackageName" not in container:
            yield request.hit((*path, "Image"), "the container has no Image")
        if "ModelDataUrl" in container and "ModelDataSource" in container:
            told = "ModelDataSource stands beside ModelDataUrl"
            yield request.hit((*path, "ModelDataSource"), told, of_key=True)


def _containers(request: Request) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    primary = request.get("PrimaryContainer")
    if primary is not None:
        yield ("PrimaryContainer",), primary
    for index, container in enumerate(request.get("Containers", default=[])):
        yield ("Containers", index), container


def model_data(request: Request, target: Target) -> Hits:
    for path, container in _containers(request):
        uri = container.get("ModelDataUrl", "")
        is_multi = container.get("Mode") == "MultiModel"
        if is_multi and uri and not uri.endswith("/"):
            told = "for several models this is a prefix, and ends with a slash"
            yield request.hit((*path, "ModelDataUrl"), told, "warning")
        elif uri and not is_multi and not uri.endswith((".tar.gz", ".tgz")):
            what = "a folder" if uri.endswith("/") else "no .tar.gz"
            told = f"a single gzip tar archive is needed, and this names {what}"
            yield request.hit((*path, "ModelDataUrl"), told)


def model_code(request: Request, target: Target) -> Hits:
    """Where MXNet's serving images look for the script, against where the request says it is."""
    for path, container in _containers(request):
        image = ImageReference.parse(container.get("Image", ""))
        if image.framework != "mxnet":
            continue
        given = container.get("Environment", {})
        place = (*path, "Environment")
        folder = given.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        version = tuple(int(number) for number in image.version.split("."))[:2]
        if version >= _CODE_IN_MODEL:
            if folder.startswith("s3://"):
                told = f"MXNet {image.version} does not fetch this: it serves code/ of the archive"
                yield request.hit((*place, "SAGEMAKER_SUBMIT_DIRECTORY"), told)
            continue
        for name in ("SAGEMAKER_PROGRAM", "SAGEMAKER_SUBMIT_DIRECTORY", "SAGEMAKER_REGION"):
            if name not in given:
                yield request.hit((*place, name), f"{name} is missing")
        if request.get("EnableNetworkIsolation") and folder.startswith("s3://"):
            told = "the container itself fetches this, and has no network"
            yield request.hit((*place, "SAGEMAKER_SUBMIT_DIRECTORY"), told)


def quoted_environment(request: Request, target: Target) -> Hits:
    for path, container in _containers(request):
        for name, value in container.get("Environment", {}).items():
            if name.startswith("SAGEMAKER_") and value[:1] == '"' == value[-1:]:
                told = f"{value} is taken with its quotes"
                yield request.hit((*path, "Environment", name), told)


def variants(request: Request, target: Target) -> Hits:
    path: Path = ("ProductionVariants",)
    found = request.get(*path, default=[])
    names = [variant.get("VariantName") for variant in found]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            yield request.hit((*path, index, "VariantName"), f"the variant {name!r} is there twice")
    weights = [variant.get("InitialVariantWeight", 1) for variant in found]
    if found and not any(weights):
        told = "every variant has the weight 0: none gets a request"
        yield request.hit((*path, 0, "InitialVariantWeight"), told)
    for index, variant in enumerate(found):
        yield from _variant(request, (*path, index), variant)


def _variant(request: Request, path: Path, variant: Mapping[str, Any]) -> Hits:
    name = variant.get("VariantName", "")
    serverless = variant.get("ServerlessConfig")
    if serverless is None:
        for member in ("InstanceType", "InitialInstanceCount"):
            managed = "ManagedInstanceScaling" in variant or "InstancePools" in variant
            if member not in variant and not managed:
                told = f"the variant {name!r} has no {member}, and no ServerlessConfig"
                yield request.hit((*path, member), told)
        if variant.get("InitialInstanceCount") == 0 and "ManagedInstanceScaling" not in variant:
            yield request.hit((*path, "InitialInstanceCount"), "a variant without an instance")
        return
    for member in ("InstanceType", "InitialInstanceCount", "AcceleratorType"):
        if member in variant:
            told = f"{member} stands beside ServerlessConfig"
            yield request.hit((*path, member), told, of_key=True)
    memory = serverless.get("MemorySizeInMB")
    if memory is not None and memory not in _SERVERLESS_MEMORY:
        told = f"{memory} MB; there are 1024, 2048, 3072, 4096, 5120 and 6144"
        yield request.hit((*path, "ServerlessConfig", "MemorySizeInMB"), told)


def transform_limits(request: Request, target: Target) -> Hits:
    at_once = request.get("MaxConcurrentTransforms", default=1)
    size = request.get("MaxPayloadInMB", default=6)
    if at_once and size and at_once * size > 100:
        told = f"{at_once} transforms of {size} MB: together they may have 100 MB"
        member = "MaxPayloadInMB" if request.has("MaxPayloadInMB") else "MaxConcurrentTransforms"
        yield request.hit((member,), told)
    split = request.get("TransformInput", "SplitType", default="None")
    if request.get("BatchStrategy") == "MultiRecord" and split == "None":
        told = "MultiRecord does nothing without a SplitType: each file is sent whole"
        yield request.hit(("BatchStrategy",), told, "warning")
    kind = request.get("TransformInput", "ContentType", default="").split(";")[0].strip()
    if request.get("BatchStrategy") == "MultiRecord" and split == "Line" and kind in _WHOLE:
        told = f"several lines of {kind} are sent as one body, and that is no {kind}"
        yield request.hit(("BatchStrategy",), told)


_WHOLE = ("application/json",)

_MODEL = examples.created_model()
_ENDPOINT = examples.endpoint_config()
_TRANSFORM = examples.transform()
_SUBMIT = {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://my-data/code/sourcedir.tar.gz"}


RULES: tuple[RequestRule, ...] = (
    RequestRule(
        id="SD240",
        name="model-containers",
        level="error",
        sentence="A model has a PrimaryContainer or Containers, each with an image.",
        cloud="ValidationException.",
        fix="Keep PrimaryContainer for one container; Containers are an inference pipeline.",
        failing=examples.created_model(Image=None),
        passing=_MODEL,
        sources=("API_CreateModel.html", "API_ContainerDefinition.html"),
        check=model_containers,
        skips=only_for("CreateModel"),
    ),
    RequestRule(
        id="SD241",
        name="model-data",
        level="error",
        sentence="ModelDataUrl names one gzip tar archive.",
        cloud="Failed to extract model data archive, or Could not find model data at the URL; the "
        "endpoint is Failed.",
        fix="Name the model.tar.gz of the training job's ModelArtifacts.",
        failing=examples.created_model(ModelDataUrl="s3://my-data/models/"),
        passing=_MODEL,
        sources=("API_ContainerDefinition.html, ModelDataUrl",
                 "awslabs/generative-ai-cdk-constructs#179"),
        check=model_data,
        skips=only_for("CreateModel"),
    ),
    RequestRule(
        id="SD242",
        name="model-code",
        level="error",
        sentence="MXNet from 1.4 on serves code/ of the archive; before, an archive of its own.",
        cloud="The endpoint serves without your script: ModelError 500, import_module exception. "
        "Before 1.4 it never passes its health check.",
        fix="From 1.4 on put the script into code/ of model.tar.gz. Before, set SAGEMAKER_PROGRAM, "
        "SAGEMAKER_SUBMIT_DIRECTORY and SAGEMAKER_REGION.",
        failing=examples.created_model(Environment=_SUBMIT),
        passing=examples.created_model(Environment={"SAGEMAKER_PROGRAM": "inference.py"}),
        sources=("sagemaker-mxnet-inference-toolkit handler_service.py",
                 "sagemaker-container-support 1.1 environment.py",
                 "aws/sagemaker-mxnet-training-toolkit#87", "aws/sagemaker-python-sdk#831"),
        check=model_code,
        skips=only_for("CreateModel"),
    ),
    RequestRule(
        id="SD243",
        name="quoted-environment",
        level="error",
        sentence="Variables of a model are plain text; only hyperparameters are JSON.",
        cloud='The server looks for the module "inference, quotes and all: import_module '
        "exception, ModelError 500.",
        fix="Leave the inner quotes out.",
        failing=examples.created_model(Environment={"SAGEMAKER_PROGRAM": '"inference.py"'}),
        passing=examples.created_model(Environment={"SAGEMAKER_PROGRAM": "inference.py"}),
        sources=("sagemaker-inference-toolkit environment.py", "aws/sagemaker-python-sdk#5317"),
        check=quoted_environment,
        skips=only_for("CreateModel"),
    ),
    RequestRule(
        id="SD244",
        name="variants",
        level="error",
        sentence="Each variant has a name of its own, and instances or a ServerlessConfig.",
        cloud="ValidationException; or an endpoint of which no variant gets a request.",
        fix="Name each variant once, give it InstanceType and InitialInstanceCount, and at least "
        "one a weight above 0.",
        failing=examples.endpoint_config(examples.variant(), examples.variant()),
        passing=examples.endpoint_config(examples.variant("a"), examples.variant("b")),
        sources=("API_ProductionVariant.html", "API_ProductionVariantServerlessConfig.html",
                 "API_CreateEndpointConfig.html"),
        check=variants,
        skips=only_for("CreateEndpointConfig"),
    ),
    RequestRule(
        id="SD245",
        name="transform-limits",
        level="error",
        sentence="Batches, records and payloads of a transform job fit together.",
        cloud="ValidationException; or every request of the job is answered with 400, since "
        "several JSON lines are no JSON.",
        fix="Keep MaxConcurrentTransforms times MaxPayloadInMB within 100; set SplitType for "
        "MultiRecord; send JSON as SingleRecord.",
        failing=examples.transform(MaxConcurrentTransforms=10, MaxPayloadInMB=45),
        passing=_TRANSFORM,
        sources=("API_CreateTransformJob.html, MaxPayloadInMB and BatchStrategy",
                 "huggingface/notebooks#227", "aws/amazon-sagemaker-examples#402"),
        check=transform_limits,
        skips=only_for("CreateTransformJob"),
    ),
)  # fmt: skip
