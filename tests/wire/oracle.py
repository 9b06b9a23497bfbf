"""botocore as the oracle: its serializers make our requests, its parsers read our answers."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import botocore.session
from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from sagedock.aws.http import HttpRequest, HttpResponse

TEXT = string.ascii_letters + string.digits + " +%&=?/<>\"';:,.~_-\\@äß€日本😀"
PLAIN = string.ascii_letters + string.digits + "-_."
WIRES = [
    ("sagemaker", "json"),
    ("logs", "json"),
    ("cloudwatch", "json"),
    ("cloudwatch", "query"),
    ("cloudwatch", "smithy-rpc-v2-cbor"),
    ("sts", "query"),
    ("iam", "query"),
    ("sagemaker-runtime", "rest-json"),
    ("s3", "rest-xml"),
]
SCALARS = ("string", "integer", "long", "float", "double", "boolean", "blob", "timestamp")
SCOPES = {"cloudwatch": "monitoring", "sagemaker-runtime": "sagemaker"}


@cache
def service_model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def operations(service: str) -> Iterator[OperationModel]:
    """Every operation but those with an event stream, which have no single body."""
    model = service_model(service)
    for name in model.operation_names:
        operation = model.operation_model(name)
        if not operation.has_event_stream_output:
            yield operation


def signature(service: str) -> str:
    scope = f"AKID/20240101/eu-west-1/{SCOPES.get(service, service)}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def request_of(operation: OperationModel, protocol: str, params: Mapping[str, Any]) -> HttpRequest:
    """The request that botocore would send."""
    serializer = create_serializer(protocol, include_validation=False)
    serialized = serializer.serialize_to_request(params, operation)
    serialized.pop("host_prefix", None)
    prepare_request_dict(serialized, "http://localhost:4599", context={"is_presign_request": False})
    sent = create_request_object(serialized).prepare()
    path, _, query = sent.url.removeprefix("http://localhost:4599").partition("?")
    headers = {name.lower(): _text(value) for name, value in sent.headers.items()}
    headers |= {
        "host": "localhost:4599",
        "authorization": signature(operation.service_model.service_name),
    }
    return HttpRequest(sent.method, path, query, headers, _bytes(sent.body))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    return b"" if body is None else body.encode() if isinstance(body, str) else bytes(body)


def read_by_botocore(
    operation: OperationModel, protocol: str, response: HttpResponse
) -> dict[str, Any]:
    """What a boto3 caller gets from `response`."""
    raw = {
        "status_code": response.status,
        "headers": HeadersDict(response.headers),
        "body": response.body,
        "context": {"operation_name": operation.name},
    }
    return create_parser(protocol).parse(raw, operation.output_shape)


class Values:
    """Random values by shape: always the same for one seed."""

    def __init__(self, seed: str, milliseconds: bool) -> None:
        self.random = random.Random(seed)
        self.milliseconds = milliseconds

    def of(self, shape: Shape, depth: int = 0) -> Any:
        if shape.type_name == "structure":
            return self.structure(shape, depth)
        if shape.type_name == "list":
            return [self.of(shape.member, depth + 1) for _ in range(self.random.randint(1, 2))]
        if shape.type_name == "map":
            return {
                self.text(shape.key): self.of(shape.value, depth + 1)
                for _ in range(self.random.randint(1, 2))
            }
        return self.scalar(shape)

    def structure(self, shape: Shape, depth: int) -> dict[str, Any]:
        names = list(shape.members)
        if shape.is_tagged_union:
            names = [self.random.choice(names)]
        elif depth:
            chance = 0.8 if depth < 4 else 0.0
            required = set(shape.required_members)
            chosen = [n for n in names if n in required or self.random.random() < chance]
            # An empty structure in a list has nothing on the wire to be seen by.
            names = chosen or [n for n in names if shape.members[n].type_name in SCALARS][:1]
        return {name: self.of(shape.members[name], depth + 1) for name in names}

    def scalar(self, shape: Shape) -> Any:
        kind = shape.type_name
        if kind in ("integer", "long"):
            return self.random.randint(-(2**31), 2**31 - 1)
        if kind in ("float", "double"):
            return self.random.choice([0.5, -3.25, 1e300, 0.1, 17.0])
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind == "blob":
            return self.random.randbytes(self.random.randint(1, 9))
        if kind == "timestamp":
            return self.moment(shape)
        return self.text(shape)

    def moment(self, shape: Shape) -> datetime:
        moment = datetime(2001, 1, 1, tzinfo=timezone.utc)
        moment += timedelta(seconds=self.random.randint(0, 10**9))
        whole = shape.serialization.get("location") or "timestampFormat" in shape.serialization
        if self.milliseconds and not whole:
            moment += timedelta(milliseconds=self.random.randint(0, 999))
        return moment

    def text(self, shape: Shape) -> str:
        if enum := shape.metadata.get("enum"):
            return self.random.choice(enum)
        location = shape.serialization.get("location")
        alphabet = PLAIN if location in ("header", "headers") else TEXT
        return "".join(self.random.choices(alphabet, k=self.random.randint(1, 12)))


def without_empty(value: Any) -> Any:
    """XML and forms cannot tell an empty list or structure from none."""
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [], None)}
    if isinstance(value, list):
        return [without_empty(item) for item in value]
    return value
