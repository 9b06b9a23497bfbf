"""Rules on the images that requests name: where they lie, what they are for, on what they run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.request_rule import RequestRule, only_for
from sagedock.check.rules.request_rules import INSTANCE, PLACEHOLDER, UNFILLED
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.json_places import Path
from sagedock.check.subjects.request import Request
from sagedock.check.target import Target, has_gpu
from sagedock.domain.images import MXNET, ImageReference

_REGISTRY = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")


def images(request: Request) -> Iterator[tuple[Path, str]]:
    """Every image of the body with its path."""
    for path, text in request.texts():
        if path[-1] in ("TrainingImage", "Image", "ImageUri"):
            yield path, text


def image_registry(request: Request, target: Target) -> Hits:
    for path, text in images(request):
        around = [*path[:-1]]
        private = request.get(*around, "TrainingImageConfig", "TrainingRepositoryAccessMode")
        private = private or request.get(*around, "ImageConfig", "RepositoryAccessMode")
        if not _REGISTRY.fullmatch(text) and private != "Vpc":
            told = f"{text!r:.80} lies in no ECR registry"
            if re.match(r"\d{12}\.dkr\.ecr", text):
                told = f"{text!r:.80} names no repository"
            if PLACEHOLDER.search(text):
                told += f": {UNFILLED}"
            yield request.hit(path, told)


def image_use(request: Request, target: Target) -> Hits:
    wanted = "training" if request.operation == "CreateTrainingJob" else "inference"
    for path, text in images(request):
        image = ImageReference.parse(text)
        if image.repository in MXNET.repositories and not image.version:
            told = f"MXNet has no image {image.tag!r}: there are {', '.join(MXNET.versions[:-1])}"
            yield request.hit(path, told)
        elif image.framework == "mxnet" and image.kind not in ("both", wanted):
            told = f"this image is for {image.kind}, and {request.operation} needs one for {wanted}"
            yield request.hit(path, told)


def image_device(request: Request, target: Target) -> Hits:
    """The image's device against the instance of this body, or of one checked with it."""
    for path, text in images(request):
        image = ImageReference.parse(text)
        if not image.framework:
            continue
        for instance in _instances(request):
            if image.device == "gpu" and not has_gpu(instance):
                yield request.hit(path, f"the image is built for GPUs, and {instance} has none")
            elif image.device == "cpu" and has_gpu(instance) and image.framework == "mxnet":
                told = f"the image is built for CPUs: the GPUs of {instance} are paid and not used"
                yield request.hit(path, told, "warning")


def _instances(request: Request) -> Iterator[str]:
    """Instance types on which the images of this body run."""
    if request.operation == "CreateTrainingJob":
        if instance := request.get("ResourceConfig", INSTANCE):
            yield instance
        return
    name = request.get("ModelName")
    for other in request.others if request.operation == "CreateModel" else ():
        for variant in other.get("ProductionVariants", default=()):
            if variant.get("ModelName") == name and INSTANCE in variant:
                yield variant[INSTANCE]
        if other.get("ModelName") == name and other.has("TransformResources", INSTANCE):
            yield other.get("TransformResources", INSTANCE)


_JOB = examples.training()

RULES: tuple[RequestRule, ...] = (
    RequestRule(
        id="SD209",
        name="image-registry",
        level="error",
        sentence="SageMaker pulls images from ECR; others only through a VPC.",
        cloud="ValidationException: Using non-ECR image without Vpc repository access mode is not "
        "supported.",
        fix="Push the image to ECR and name it ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG.",
        failing=examples.altered(_JOB, examples.IMAGE, "my-algorithm:latest"),
        passing=_JOB,
        sources=("API_AlgorithmSpecification.html, TrainingImage",
                 "aws/sagemaker-python-sdk#4700: the message"),
        check=image_registry,
    ),
    RequestRule(
        id="SD210",
        name="image-use",
        level="error",
        sentence="MXNet's images train or serve; only up to 1.3 one image does both.",
        cloud="The job fails with an exit code, or the endpoint with its health check: the image "
        "has no program for it. A tag that never was: the image cannot be pulled.",
        fix="Use mxnet-training:VERSION for jobs and mxnet-inference:VERSION for models.",
        failing=examples.altered(_JOB, examples.IMAGE, examples.SERVING_IMAGE),
        passing=_JOB,
        sources=("sagemaker-python-sdk image_uri_config/mxnet.json",
                 "aws/sagemaker-mxnet-training-toolkit#87"),
        check=image_use,
        skips=only_for("CreateTrainingJob", "CreateModel"),
    ),
    RequestRule(
        id="SD211",
        name="image-device",
        level="error",
        sentence="An image for GPUs needs an instance with a GPU.",
        cloud="OSError: libcuda.so.1: cannot open shared object file; the job is Failed. The other "
        "way round it runs on the CPU, and the GPU is paid for.",
        fix="Take the image and the instance for the same device.",
        failing=examples.altered(_JOB, "1.9.0-cpu-py38", "1.9.0-gpu-py38"),
        passing=_JOB,
        sources=("aws/deep-learning-containers mxnet/training/docker/1.9",
                 "aws/sagemaker-python-sdk#440", "aws/sagemaker-mxnet-inference-toolkit#112"),
        check=image_device,
        skips=only_for("CreateTrainingJob", "CreateModel"),
    ),
)  # fmt: skip
