"""Rules on CreateTrainingJob: what its members mean together, and what MXNet's images make of
them."""

from __future__ import annotations

import json
import re
from collections import Counter

from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.request_rule import RequestRule, only_for
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.json_places import Path
from sagedock.check.subjects.request import Request
from sagedock.check.target import Generation, Target, generation_of
from sagedock.domain.images import ImageReference

LONGEST_RUN_SECONDS = 28 * 24 * 3600
_training = only_for("CreateTrainingJob")


def _image(request: Request) -> ImageReference:
    return ImageReference.parse(request.get("AlgorithmSpecification", "TrainingImage", default=""))


def _generation(request: Request) -> Generation | None:
    """Of an MXNet image with its own entry point; None for any other."""
    image = _image(request)
    own = request.has("AlgorithmSpecification", "ContainerEntrypoint")
    return generation_of(image.version) if image.framework == "mxnet" and not own else None


def _mxnet(request: Request, target: Target) -> str:
    if reason := _training(request, target):
        return reason
    return "" if _generation(request) else "is about MXNet's images"


def algorithm_source(request: Request, target: Target) -> Hits:
    path: Path = ("AlgorithmSpecification",)
    both = [m for m in ("TrainingImage", "AlgorithmName") if request.has(*path, m)]
    if request.has(*path) and not both:
        yield request.hit(path, "neither TrainingImage nor AlgorithmName is there")
    if len(both) == 2:
        yield request.hit((*path, "AlgorithmName"), "AlgorithmName stands beside TrainingImage")


def same_channel(request: Request, target: Target) -> Hits:
    channels = request.get("InputDataConfig", default=[])
    names = [channel.get("ChannelName") for channel in channels]
    for index, name in enumerate(names):
        if name is not None and name in names[:index]:
            path = ("InputDataConfig", index, "ChannelName")
            yield request.hit(path, f"the channel {name!r} is there {Counter(names)[name]} times")


def channel_data(request: Request, target: Target) -> Hits:
    default = request.get("AlgorithmSpecification", "TrainingInputMode", default="File")
    for index, channel in enumerate(request.get("InputDataConfig", default=[])):
        path: Path = ("InputDataConfig", index)
        mode = channel.get("InputMode", default)
        where = path if "InputMode" in channel else (*path, "ChannelName")
        kind = request.get(*path, "DataSource", "S3DataSource", "S3DataType")
        kind_path = (*path, "DataSource", "S3DataSource", "S3DataType")
        if not channel.get("DataSource"):
            yield request.hit((*path, "DataSource"), "the channel has no DataSource")
        if mode == "FastFile" and kind not in (None, "S3Prefix"):
            yield request.hit(kind_path, f"the input mode FastFile takes S3Prefix, not {kind}")
        if kind == "AugmentedManifestFile" and mode == "File":
            yield request.hit(kind_path, "an augmented manifest takes the input mode Pipe")
        if channel.get("CompressionType") == "Gzip" and mode != "Pipe":
            told = f"the input mode {mode} takes no CompressionType Gzip: only Pipe unpacks"
            yield request.hit((*path, "CompressionType"), told)
        if mode == "Pipe" and _generation(request):
            told = "the channel is a pipe, and MXNet's images hand the script a folder's path"
            yield request.hit(where, told, "warning")


def submitted_code(request: Request, target: Target) -> Hits:
    """sagemaker_program and its like, which the SDK adds and a request by hand has to. Without an
    image of MXNet's they say themselves that a toolkit reads them."""
    given = request.get("HyperParameters", default={})
    place: Path = ("HyperParameters",)
    yield from _submitted_archive(request)
    if _mxnet(request, target):
        return
    program = given.get("sagemaker_program")
    in_environment = request.has("Environment", "SAGEMAKER_PROGRAM")
    if program is None and not (in_environment and _generation(request) == "script"):
        yield request.hit((*place, "sagemaker_program"), "sagemaker_program is missing")
    folder = given.get("sagemaker_submit_directory")
    if folder is None:
        told = "sagemaker_submit_directory is missing"
        yield request.hit((*place, "sagemaker_submit_directory"), told)
    if _generation(request) == "legacy" and "sagemaker_region" not in given:
        told = "sagemaker_region is missing, which legacy images read without asking"
        yield request.hit((*place, "sagemaker_region"), told)


def _submitted_archive(request: Request) -> Hits:
    path: Path = ("HyperParameters", "sagemaker_submit_directory")
    folder = _text(request.get(*path, default=""))
    if folder.startswith("s3://") and not folder.endswith((".tar.gz", ".tgz")):
        told = "the code is fetched as one archive, and this is no .tar.gz"
        yield request.hit(path, told)


def _text(value: str) -> str:
    """What a toolkit makes of it: JSON where it is JSON, else the text itself."""
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def legacy_hyperparameters(request: Request, target: Target) -> Hits:
    for name, value in request.get("HyperParameters", default={}).items():
        try:
            json.loads(value)
        except ValueError:
            if name != "_tuning_objective_metric":
                shown = json.dumps(json.dumps(value))
                told = f"{value!r:.60} is no JSON text; as JSON it is {shown:.70}"
                yield request.hit(("HyperParameters", name), told)


def distribution(request: Request, target: Target) -> Hits:
    given = request.get("HyperParameters", default={})
    switches = {
        name: _text(given.get(name, "")).lower() in ("true", "1")
        for name in ("sagemaker_parameter_server_enabled", "sagemaker_mpi_enabled")
    }
    on = [name for name, is_on in switches.items() if is_on]
    count = request.get("ResourceConfig", "InstanceCount", default=1)
    if _generation(request) == "legacy":
        for name in on:
            told = f"{name} is for versions from 1.3 on; legacy images always start the servers"
            yield request.hit(("HyperParameters", name), told, "warning")
    elif len(on) == 2:
        yield request.hit(
            ("HyperParameters", on[1]), "parameter server and MPI are both switched on"
        )
    elif count > 1 and not on:
        told = f"{count} hosts, and nothing lets them work together: each trains a model alone"
        yield request.hit(("ResourceConfig", "InstanceCount"), told)


def metric_regex(request: Request, target: Target) -> Hits:
    path: Path = ("AlgorithmSpecification", "MetricDefinitions")
    for index, metric in enumerate(request.get(*path, default=[])):
        regex = metric.get("Regex")
        if regex is None:
            continue
        try:
            groups = re.compile(regex).groups
        except re.error as error:
            yield request.hit((*path, index, "Regex"), f"no regular expression: {error}")
            continue
        if not groups:
            told = "without a group in parentheses there is no value to take"
            yield request.hit((*path, index, "Regex"), told)


def stopping(request: Request, target: Target) -> Hits:
    path: Path = ("StoppingCondition",)
    longest = request.get(*path, "MaxRuntimeInSeconds")
    wait = request.get(*path, "MaxWaitTimeInSeconds")
    if longest is not None and longest > LONGEST_RUN_SECONDS:
        told = f"{longest} s; a job runs {LONGEST_RUN_SECONDS} s (28 days) at the most"
        yield request.hit((*path, "MaxRuntimeInSeconds"), told)
    if request.get("EnableManagedSpotTraining"):
        if wait is None:
            told = "a spot job needs MaxWaitTimeInSeconds: how long it may take with all waiting"
            yield request.hit((*path, "MaxWaitTimeInSeconds"), told)
        elif longest is not None and wait < longest:
            told = f"MaxWaitTimeInSeconds is {wait}, less than MaxRuntimeInSeconds, {longest}"
            yield request.hit((*path, "MaxWaitTimeInSeconds"), told)
    elif wait is not None:
        told = "MaxWaitTimeInSeconds goes with EnableManagedSpotTraining only"
        yield request.hit((*path, "MaxWaitTimeInSeconds"), told)


def isolated_code(request: Request, target: Target) -> Hits:
    if not request.get("EnableNetworkIsolation"):
        return
    path: Path = ("HyperParameters", "sagemaker_submit_directory")
    if _text(request.get(*path, default="")).startswith("s3://"):
        yield request.hit(path, "the container itself fetches this, and has no network")


def spot_without_checkpoints(request: Request, target: Target) -> Hits:
    if request.get("EnableManagedSpotTraining") and not request.has("CheckpointConfig"):
        yield request.hit(
            ("EnableManagedSpotTraining",), "an interrupted job begins again from nothing"
        )


_JOB = examples.training()
_REGION = {"sagemaker_region": "us-east-1"}
_RAW = {**examples.CODE, **_REGION}
_QUOTED = {name: json.dumps(value) for name, value in _RAW.items()}
_LEGACY = {"TrainingImage": examples.LEGACY_IMAGE, "TrainingInputMode": "File"}
_TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 10}
_METRIC = {"TrainingImage": examples.IMAGE, "TrainingInputMode": "File"}


def _with_regex(regex: str) -> str:
    definitions = [{"Name": "loss", "Regex": regex}]
    return examples.training(AlgorithmSpecification={**_METRIC, "MetricDefinitions": definitions})


RULES: tuple[RequestRule, ...] = (
    RequestRule(
        id="SD220",
        name="algorithm-source",
        level="error",
        sentence="A job has a TrainingImage or an AlgorithmName, and not both.",
        cloud="ValidationException: both, or neither, of TrainingImage and AlgorithmName.",
        fix="Name the image in AlgorithmSpecification.TrainingImage.",
        failing=examples.training(AlgorithmSpecification={"TrainingInputMode": "File"}),
        passing=_JOB,
        sources=("API_AlgorithmSpecification.html",),
        check=algorithm_source,
        skips=_training,
    ),
    RequestRule(
        id="SD221",
        name="same-channel",
        level="error",
        sentence="Each channel of a job has a name of its own.",
        cloud="ValidationException: duplicate channel names.",
        fix="Give each channel another ChannelName; it becomes the folder's and SM_CHANNEL_…'s "
        "name.",
        failing=examples.training(InputDataConfig=[examples.channel(), examples.channel()]),
        passing=examples.training(InputDataConfig=[examples.channel(), examples.channel("test")]),
        sources=("API_Channel.html: the name of the channel, a folder of /opt/ml/input/data",),
        check=same_channel,
        skips=_training,
    ),
    RequestRule(
        id="SD222",
        name="channel-data",
        level="error",
        sentence="Input mode, kind of data and compression of a channel go together.",
        cloud="ValidationException: Invalid compression type for channel training: File mode only "
        "supports NONE, got Gzip instead; or the script finds no folder, and fails.",
        fix="Use the input mode File for MXNet, FastFile only with S3Prefix; leave CompressionType "
        "out and unpack .gz files in the script.",
        failing=examples.training(InputDataConfig=[examples.channel(CompressionType="Gzip")]),
        passing=_JOB,
        sources=("botocore's text of Channel.CompressionType and S3DataSource.S3DataType",
                 "your-algorithms-training-algo-running-container: input modes",
                 "aws/sagemaker-python-sdk#716", "aws/sagemaker-tensorflow-extensions#47"),
        check=channel_data,
        skips=_training,
    ),
    RequestRule(
        id="SD223",
        name="submitted-code",
        level="error",
        sentence="AWS's images are told the script by hyperparameters that the SDK adds.",
        cloud="AlgorithmError before the script begins: AttributeError, KeyError or "
        "tarfile.ReadError in the container's own code.",
        fix="Add sagemaker_program, sagemaker_submit_directory (s3://…/sourcedir.tar.gz) and, for "
        "versions up to 1.2.1, sagemaker_region.",
        failing=examples.training(HyperParameters={"epochs": "3"}),
        passing=_JOB,
        sources=("sagemaker-training-toolkit params.py, files.py",
                 "sagemaker-container-support 1.1 environment.py",
                 "aws/sagemaker-python-sdk#835", "aws/sagemaker-python-sdk#1494",
                 "aws/sagemaker-containers#179"),
        check=submitted_code,
        skips=_training,
    ),
    RequestRule(
        id="SD224",
        name="legacy-hyperparameters",
        level="error",
        sentence="Images up to 1.2.1 decode every hyperparameter as JSON, strictly.",
        cloud="AlgorithmError: ValueError (No JSON object could be decoded), before the script is "
        "imported.",
        fix="JSON-encode every value, texts too: the SDK does, boto3 does not.",
        failing=examples.training(AlgorithmSpecification=_LEGACY, HyperParameters=_RAW),
        passing=examples.training(AlgorithmSpecification=_LEGACY, HyperParameters=_QUOTED),
        sources=("sagemaker-container-support 1.1 environment.py, json.loads of each value",
                 "aws/sagemaker-containers#179", "aws/sagemaker-python-sdk#613"),
        check=legacy_hyperparameters,
        skips=lambda request, target: _mxnet(request, target)
        or ("" if _generation(request) == "legacy" else "is about versions up to 1.2.1"),
    ),
    RequestRule(
        id="SD225",
        name="distribution",
        level="warning",
        sentence="Several hosts work together only where the request switches it on.",
        cloud="The job is Completed: each host trained a model of its own on its data, and of "
        "files with one name one host's is kept.",
        fix='Set the hyperparameter sagemaker_parameter_server_enabled, or sagemaker_mpi_enabled, '
        'to "true"; or InstanceCount to 1.',
        failing=examples.training(ResourceConfig=_TWO),
        passing=examples.training(
            ResourceConfig=_TWO,
            HyperParameters={**examples.CODE, "sagemaker_parameter_server_enabled": "true"},
        ),
        sources=("sagemaker-mxnet-training-toolkit training.py",
                 "sagemaker-python-sdk mxnet/estimator.py: distribution from 1.3 on",
                 "your-algorithms-training-algo-output: names must not clash"),
        check=distribution,
        skips=_mxnet,
    ),
    RequestRule(
        id="SD226",
        name="metric-regex",
        level="error",
        sentence="A metric's regular expression compiles, and has a group: the value.",
        cloud="ValidationException; or, without a group, a metric that never gets a value.",
        fix=r"Put parentheses around the number: loss=([0-9\.]+).",
        failing=_with_regex("loss=[0-9.]+"),
        passing=_with_regex("loss=([0-9.]+)"),
        sources=("API_MetricDefinition.html", "aws/amazon-sagemaker-examples#703",
                 "aws/sagemaker-python-sdk#5201"),
        check=metric_regex,
        skips=_training,
    ),
    RequestRule(
        id="SD227",
        name="stopping-condition",
        level="error",
        sentence="Times are within the limits, and a spot job says how long it may wait.",
        cloud="ValidationException: Invalid MaxWaitTimeInSeconds. It must be present and be "
        "greater than or equal to MaxRuntimeInSeconds.",
        fix="For spot jobs, set MaxWaitTimeInSeconds to at least MaxRuntimeInSeconds; for others "
        "leave it out.",
        failing=examples.training(EnableManagedSpotTraining=True,
                                  CheckpointConfig={"S3Uri": "s3://my-data/checkpoints"}),
        passing=examples.training(
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
            CheckpointConfig={"S3Uri": "s3://my-data/checkpoints"},
        ),
        sources=("API_StoppingCondition.html", "message as users quote it",
                 "aws/sagemaker-tensorflow-training-toolkit#346"),
        check=stopping,
        skips=_training,
    ),
    RequestRule(
        id="SD228",
        name="isolated-code",
        level="error",
        sentence="Under network isolation a container fetches nothing, its own script neither.",
        cloud="AlgorithmError: the toolkit cannot reach S3 (EndpointConnectionError).",
        fix="Send the code as a channel and name its folder: sagemaker_submit_directory "
        "/opt/ml/input/data/code/sourcedir.tar.gz, as the SDK does.",
        failing=examples.training(EnableNetworkIsolation=True),
        passing=examples.training(
            EnableNetworkIsolation=True,
            InputDataConfig=[examples.channel(), examples.channel("code")],
            HyperParameters={
                **examples.CODE,
                "sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz",
            },
        ),
        sources=("sagemaker-training-toolkit files.py, download_and_extract",
                 "sagemaker-python-sdk estimator.py: the channel code"),
        check=isolated_code,
        skips=_mxnet,
    ),
    RequestRule(
        id="SD229",
        name="spot-without-checkpoints",
        level="advice",
        sentence="A spot job that is interrupted goes on only from a checkpoint.",
        cloud="Interrupted, the job starts its script again with an empty /opt/ml/checkpoints.",
        fix="Add CheckpointConfig with an S3Uri, and let the script load what it finds there.",
        failing=examples.training(
            EnableManagedSpotTraining=True,
            StoppingCondition={"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
        ),
        passing=_JOB,
        sources=("model-checkpoints.html", "aws/sagemaker-python-sdk#3099",
                 "aws/sagemaker-tensorflow-training-toolkit#346"),
        check=spot_without_checkpoints,
        skips=_training,
    ),
)  # fmt: skip
