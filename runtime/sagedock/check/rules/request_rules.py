"""Rules on any request: what AWS's model of the operation says, and what it cannot say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from sagedock.aws import model
from sagedock.aws.findings import Complaint, lower_camel, place_names
from sagedock.aws.validation import complaints
from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.request_rule import RequestRule
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.json_places import Path
from sagedock.check.subjects.request import SERVICE, Request
from sagedock.check.target import Target

ROLES = ("RoleArn", "ExecutionRoleArn")
INSTANCE = "InstanceType"


def wrong_type(request: Request, target: Target) -> Hits:
    for unfit in request.unfit:
        if not unfit.is_unknown:
            yield request.hit(unfit.path, unfit.said)


def unknown_member(request: Request, target: Target) -> Hits:
    for unfit in request.unfit:
        if unfit.is_unknown:
            yield request.hit(unfit.path, unfit.said, of_key=True)


def doubled_key(request: Request, target: Target) -> Hits:
    for path in request.document.doubled:
        told = f'"{path[-1]}" stands twice, and only the last counts'
        yield request.hit(path, told, of_key=True)


def missing_member(request: Request, target: Target) -> Hits:
    unfit = {found.path for found in request.unfit}
    for complaint, path in _complaints(request):
        if complaint.broken == "null" and path not in unfit:
            yield request.hit(path, f"{_name(path)} is missing: {complaint.text}")
    if request.operation == "CreateTrainingJob":
        yield from _missing_in_training(request)


def _missing_in_training(request: Request) -> Hits:
    """Members that newer models no longer require, for kinds of jobs that go without."""
    if request.has("ServerlessJobConfig"):
        return
    groups = request.has("ResourceConfig", "InstanceGroups")
    needed: list[Path] = [("AlgorithmSpecification",), ("ResourceConfig",)]
    if request.has("ResourceConfig") and not groups:
        needed += [("ResourceConfig", INSTANCE), ("ResourceConfig", "InstanceCount")]
    unfit = {found.path for found in request.unfit}
    for path in needed:
        if not request.has(*path) and path not in unfit:
            yield request.hit(path, f"{_name(path)} is missing")


def wrong_value(request: Request, target: Target) -> Hits:
    for complaint, path in _complaints(request):
        told_elsewhere = path and path[-1] in (*ROLES, INSTANCE)
        if complaint.broken != "null" and not told_elsewhere:
            yield request.hit(path, _short(complaint.text))


def _short(text: str) -> str:
    """Without the middle of a long list of allowed values."""
    return re.sub(r"(\[(?:[^,\]]+, ){12})[^\]]+\]", r"\1…]", text)


def _complaints(request: Request) -> Iterator[tuple[Complaint, Path]]:
    """What the model's own constraints say, with the place in the body."""
    for complaint in complaints(SERVICE, request.operation, request.body):
        yield complaint, _path(place_names(complaint.place), request.document.value)


def _path(names: list[str], value: Any) -> Path:
    """AWS's `inputDataConfig.1.member.channelName` as a path into the body."""
    path: list[str | int] = []
    for name in names:
        if isinstance(value, list):
            if name == "member":
                continue
            part: str | int = int(name) - 1
        elif isinstance(value, dict):
            part = next((key for key in value if name in (key, lower_camel(key))), "")
            part = part or name[:1].upper() + name[1:]
        else:
            continue
        if part == "Member":
            continue
        path.append(part)
        try:
            value = value[part]
        except (KeyError, IndexError):
            value = None
    return tuple(path)


def _name(path: Path) -> str:
    return ".".join(str(part) for part in path)


# --- roles, instances, S3 ---------------------------------------------------------------------

_ARN = re.compile(r"arn:aws[a-z-]*:iam::(\d*):([a-z-]+)/?(.*)")
_ROLE = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")


def role_form(request: Request, target: Target) -> Hits:
    for path, text in request.texts():
        if path[-1] in ROLES and not _ROLE.fullmatch(text):
            yield request.hit(path, f"{text!r:.80} {_what_it_is(text)}")


PLACEHOLDER = re.compile(r"[<>{}$\[\]]")
"""What no role, image, bucket or instance type has, and templates have."""
UNFILLED = "a placeholder was not filled in"


def _what_it_is(text: str) -> str:
    if PLACEHOLDER.search(text):
        return f"is no ARN of a role: {UNFILLED}"
    found = _ARN.fullmatch(text)
    if found is None:
        kind = "is a role's name" if re.fullmatch(r"[\w+=,.@-]+", text) else "is no ARN of a role"
        return f"{kind}: an ARN such as arn:aws:iam::111122223333:role/SageMaker is needed"
    account, kind, _ = found.groups()
    if kind != "role":
        return f"names {_article(kind)} {kind}, and SageMaker takes a role"
    if len(account) != 12:
        return f"has an account of {len(account)} digits; accounts have 12"
    return "names no role that there can be"


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


_INSTANCE_ENUMS: Mapping[str, tuple[str, Path]] = {
    "training": ("CreateTrainingJob", ("ResourceConfig",)),
    "hosting": ("CreateEndpointConfig", ("ProductionVariants", 0)),
    "batch transform": ("CreateTransformJob", ("TransformResources",)),
}
_KINDS = {
    "CreateTrainingJob": "training",
    "CreateHyperParameterTuningJob": "training",
    "CreateEndpointConfig": "hosting",
    "CreateTransformJob": "batch transform",
}


@cache
def _instance_types(kind: str) -> frozenset[str]:
    operation, path = _INSTANCE_ENUMS[kind]
    shape = model.operation(SERVICE, operation).input
    for part in path:
        assert shape is not None
        shape = shape.member if isinstance(part, int) else shape.members[part]
    assert shape is not None
    return frozenset(shape.members[INSTANCE].enum)


def instance_kind(request: Request, target: Target) -> Hits:
    kind = _KINDS.get(request.operation)
    for path, text in request.texts():
        if path[-1] == INSTANCE and kind and text not in _instance_types(kind):
            yield request.hit(path, _why_not(text, kind))


def _why_not(text: str, kind: str) -> str:
    if PLACEHOLDER.search(text):
        return f"{text!r} is no instance type: {UNFILLED}"
    if not text.startswith("ml."):
        with_prefix = f"ml.{text}"
        hint = f"; did you mean {with_prefix}?" if with_prefix in _instance_types(kind) else ""
        return f"{text!r} is no SageMaker instance type: they begin with ml.{hint}"
    others = [other for other in _INSTANCE_ENUMS if text in _instance_types(other)]
    if others:
        return f"{text} is an instance type for {' and '.join(others)}, not for {kind}"
    return f"there is no instance type {text} for {kind}"


_URIS = re.compile(r"(S3\w*(Uri|Path|Location)|ModelDataUrl|S3Uri)")
_BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def s3_uri(request: Request, target: Target) -> Hits:
    for path, text in request.texts():
        if not _URIS.fullmatch(str(path[-1])):
            continue
        if told := _wrong_uri(text, is_prefix=path[-1] == "S3Uri"):
            yield request.hit(path, told)


def _wrong_uri(text: str, *, is_prefix: bool) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark:
        hint = " `s3:/` has one slash." if text.startswith("s3:/") else ""
        return f"{text!r:.80} is no S3 URI: they begin with s3://.{hint}".removesuffix(".")
    if scheme != "s3":
        is_object = re.search(r"s3[.-][\w.-]*amazonaws\.com|\.s3\.", text)
        return "" if is_object else f"{text!r:.80} is no S3 URI: they begin with s3://"
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        return f"{bucket!r} can be no bucket: {_why_no_bucket(bucket)}"
    if is_prefix and re.search(r"[*?]", key):
        return "S3 has no wildcards: this looks for keys that begin with the star itself"
    if key.startswith("/"):
        return "after the bucket come two slashes: the key would begin with a slash"
    return ""


def _why_no_bucket(bucket: str) -> str:
    if PLACEHOLDER.search(bucket):
        return UNFILLED
    if re.search(r"[A-Z]", bucket):
        return "names have no capital letters"
    if "_" in bucket:
        return "names have no underscores"
    if not 3 <= len(bucket) <= 63:
        return "names have 3 to 63 characters"
    return "names have lower-case letters, digits, hyphens and single dots"


# --- requests that belong together ------------------------------------------------------------

_NAMES = {
    "CreateModel": "ModelName",
    "CreateEndpointConfig": "EndpointConfigName",
    "CreateEndpoint": "EndpointName",
}


def unknown_name(request: Request, target: Target) -> Hits:
    """A name that this body uses and none of those checked with it makes, though they make
    others of its kind."""
    for operation, member in _NAMES.items():
        made = {o.get(member) for o in request.others if o.operation == operation} - {None}
        if not made or request.operation == operation:
            continue
        for path, text in request.texts():
            if path[-1] == member and text not in made:
                told = f"no request here makes the {member} {text!r}: there is {_either(made)}"
                yield request.hit(path, told)


def _either(names: set[str]) -> str:
    return " and ".join(repr(name) for name in sorted(names))


def _needs_company(request: Request, target: Target) -> str:
    return "" if request.others else "needs several --job"


_JOB = examples.training()
_MODEL = "botocore's model of the operation, sagemaker/2017-07-24/service-2.json"

RULES: tuple[RequestRule, ...] = (
    RequestRule(
        id="SD201",
        name="member-type",
        level="error",
        sentence="Each member has the type of AWS's model; a hyperparameter is always text.",
        cloud="Nothing is sent: boto3 and the AWS CLI raise ParamValidationError. What gets past "
        "them is refused with SerializationException.",
        fix="Write the value as the type that is named: numbers among hyperparameters in quotes.",
        failing=examples.altered(_JOB, '"epochs": "3"', '"epochs": 3'),
        passing=_JOB,
        sources=(_MODEL, "botocore validate.py", "aws/sagemaker-python-sdk#613"),
        check=wrong_type,
    ),
    RequestRule(
        id="SD202",
        name="unknown-member",
        level="error",
        sentence="A request has the members of its operation, spelled as in the API.",
        cloud="ParamValidationError: Unknown parameter in input. The service itself would pass "
        "over it, and the setting would have no effect.",
        fix="Use the name of the API's page.",
        failing=examples.training(UseSpotInstances=True),
        passing=_JOB,
        sources=(_MODEL, "botocore validate.py"),
        check=unknown_member,
    ),
    RequestRule(
        id="SD203",
        name="missing-member",
        level="error",
        sentence="What an operation requires has to be there.",
        cloud="ParamValidationError, or ValidationException: Member must not be null.",
        fix="Add the member.",
        failing=examples.altered(_JOB, f'  "RoleArn": "{examples.ROLE}",\n', ""),
        passing=_JOB,
        sources=(_MODEL, "API_CreateTrainingJob.html"),
        check=missing_member,
    ),
    RequestRule(
        id="SD204",
        name="member-value",
        level="error",
        sentence="Names, lengths, counts and choices keep within the limits of AWS's model.",
        cloud="ValidationException, in the words of the message.",
        fix="Change the value so that the constraint holds: names have letters, digits and "
        "hyphens, and 63 characters at the most.",
        failing=examples.altered(_JOB, "digits-1", "digits_1"),
        passing=_JOB,
        sources=(_MODEL, "Kenza-AI/sagify#57", "aws/sagemaker-python-sdk#314"),
        check=wrong_value,
    ),
    RequestRule(
        id="SD205",
        name="doubled-key",
        level="warning",
        sentence="A JSON object has each key once.",
        cloud="No error: the first value is lost, and the job runs with the other one.",
        fix="Keep one of them.",
        failing=examples.altered(_JOB, '"epochs": "3"\n', '"epochs": "3",\n    "epochs": "30"\n'),
        passing=_JOB,
        sources=("RFC 8259, section 4", "Python's json: the last one counts"),
        check=doubled_key,
    ),
    RequestRule(
        id="SD206",
        name="role-form",
        level="error",
        sentence="The role is the ARN of an IAM role.",
        cloud="ValidationException: the ARN does not match the pattern; or, at a user's, Could not "
        "assume role.",
        fix="Give the ARN of a role that SageMaker may assume, as IAM's page of the role shows it.",
        failing=examples.altered(_JOB, ":role/SageMaker", ":user/me"),
        passing=_JOB,
        sources=(_MODEL, "aws/amazon-sagemaker-examples#483"),
        check=role_form,
    ),
    RequestRule(
        id="SD207",
        name="instance-kind",
        level="error",
        sentence="Training, hosting and batch transform each have instance types of their own.",
        cloud="ValidationException: Member must satisfy enum value set.",
        fix="Choose a type from the operation's list; ml.m5.large is in all of them.",
        failing=examples.altered(_JOB, "ml.m5.large", "ml.t2.medium"),
        passing=_JOB,
        sources=(_MODEL, "aws-samples/aws-sagemaker-heart-disease-prediction#1"),
        check=instance_kind,
    ),
    RequestRule(
        id="SD208",
        name="s3-uri",
        level="error",
        sentence="Data is named by an S3 URI: s3://bucket/prefix, without wildcards.",
        cloud="ValidationException: No S3 objects found under S3 URL; or the bucket is invalid.",
        fix="Name the bucket as it is, and the beginning of the keys: everything below is taken.",
        failing=examples.altered(_JOB, "s3://my-data/training", "s3://my-data/training/*.rec"),
        passing=_JOB,
        sources=("S3's rules for bucket names (bucketnamingrules.html)",
                 "API_S3DataSource.html: a key name prefix",
                 "aws/amazon-sagemaker-examples#1541"),
        check=s3_uri,
    ),
    RequestRule(
        id="SD212",
        name="unknown-name",
        level="error",
        sentence="Requests that are checked together name each other's resources.",
        cloud='ValidationException: Could not find model "…", or endpoint configuration.',
        fix="Use the name that the other request gives.",
        failing=examples.endpoint_config(examples.variant(ModelName="digit")),
        passing=examples.endpoint_config(),
        beside=examples.created_model(),
        sources=("API_CreateEndpointConfig.html", "API_CreateEndpoint.html"),
        check=unknown_name,
        skips=_needs_company,
    ),
)  # fmt: skip
