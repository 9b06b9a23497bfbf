"""Every operation of every routed service, in both directions, against botocore."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import OperationModel
from botocore.parsers import create_parser

from sagedock.aws.http import HttpResponse
from sagedock.aws.model import Call
from sagedock.aws.protocols import parse, serialize, serialize_error
from sagedock.aws.routing import route
from sagedock.errors import ServiceError
from wire.oracle import (
    WIRES,
    Values,
    operations,
    read_by_botocore,
    request_of,
    service_model,
    without_empty,
)

OURS = {"smithy-rpc-v2-cbor": "cbor"}
SAME_REQUEST = {
    "ListDirectoryBuckets": "ListBuckets",
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
"""Operations that look on the wire just like another, newer one."""

UNREADABLE = {"GetBucketLocation", "GetBucketNotification"}
"""Answers that botocore's parser does not read: a root that is the value, for which it has a
handler (see the next test), and two members, Event and Events, of one name on the wire."""
REQUEST_ID = "8d3f1c9a-1"


def call_of(operation: OperationModel, protocol: str) -> Call:
    name = OURS.get(protocol, protocol)
    return Call(operation.service_model.service_name, operation.name, name, "/")  # type: ignore[arg-type]


@pytest.mark.parametrize(("service", "protocol"), WIRES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_botocore_sends_is_what_we_read(service: str, protocol: str, seed: int) -> None:
    for operation in operations(service):
        if operation.name in SAME_REQUEST:
            continue
        values = Values(f"{operation.name}{seed}", milliseconds=False)
        params = values.of(operation.input_shape) if operation.input_shape else {}
        request = request_of(operation, protocol, params)

        call = route(request)
        found = parse(call, request)

        assert (call.service, call.operation) == (service, operation.name)
        assert _comparable(found, protocol) == _comparable(params, protocol), operation.name


@pytest.mark.parametrize(("service", "protocol"), WIRES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_we_answer_is_what_botocore_reads(service: str, protocol: str, seed: int) -> None:
    for operation in operations(service):
        shape = operation.output_shape
        if operation.name in UNREADABLE:
            continue
        values = Values(f"{operation.name}{seed}", milliseconds=True)
        answer = values.of(shape) if shape else {}

        response = serialize(call_of(operation, protocol), answer, REQUEST_ID)

        found = read_by_botocore(operation, protocol, response)
        assert REQUEST_ID in str(found.pop("ResponseMetadata"))
        if operation.has_streaming_output:
            for streamed in (shape.serialization["payload"], "ContentLength"):
                answer.pop(streamed, None)
                found.pop(streamed, None)
        assert _comparable(found, protocol) == _comparable(answer, protocol), operation.name


def test_the_bucket_location_is_the_root_of_its_answer() -> None:
    call = Call("s3", "GetBucketLocation", "rest-xml")

    found = serialize(call, {"LocationConstraint": "eu-west-1"}, "r").body

    assert b'2006-03-01/">eu-west-1</LocationConstraint>' in found


@pytest.mark.parametrize(("service", "protocol"), WIRES)
def test_every_error_keeps_its_code_text_and_members(service: str, protocol: str) -> None:
    operation = next(iter(operations(service)))
    for shape in service_model(service).error_shapes:
        fields = Values(shape.name, milliseconds=True).of(shape)
        fields = {name: value for name, value in fields.items() if name.lower() != "message"}
        error = ServiceError('It said <"no">.', code=shape.name, status=409, fields=fields)

        response = serialize_error(call_of(operation, protocol), error, REQUEST_ID)

        found = _read_error(operation, protocol, response)
        by_name = protocol in ("json", "rest-json", "rest-xml") and service != "cloudwatch"
        assert found["Error"]["Code"] == (shape.name if by_name else shape.error_code)
        assert found["Error"]["Message"] == 'It said <"no">.'
        assert found["ResponseMetadata"]["RequestId"] == REQUEST_ID
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 409
        modelled = {key: found[key] for key in fields if key in found}
        if protocol != "rest-xml":
            assert _comparable(modelled, protocol) == _comparable(fields, protocol), shape.name


@pytest.mark.parametrize(("service", "protocol"), WIRES)
def test_an_error_that_no_model_has_keeps_its_code(service: str, protocol: str) -> None:
    operation = next(iter(operations(service)))
    error = ServiceError("Rate exceeded", code="ThrottlingException", status=400)

    response = serialize_error(call_of(operation, protocol), error, REQUEST_ID)

    found = _read_error(operation, protocol, response)["Error"]
    assert (found["Code"], found["Message"]) == ("ThrottlingException", "Rate exceeded")


def _read_error(operation: OperationModel, protocol: str, response: HttpResponse) -> dict[str, Any]:
    """As botocore's client does: the general parser, and the error's own shape on top."""
    raw = {
        "status_code": response.status,
        "headers": HeadersDict(response.headers),
        "body": response.body,
        "context": {"operation_name": operation.name},
    }
    parser = create_parser(protocol)
    parsed = parser.parse(raw, operation.output_shape)
    code = parsed["Error"]["Code"]
    shape = operation.service_model.shape_for_error_code(code)
    return parsed | (parser.parse(raw, shape) if shape else {}) | {"Error": parsed["Error"]}


def _comparable(value: dict[str, Any], protocol: str) -> Any:
    value = {name: item for name, item in value.items() if name != "Metadata"} | {
        "Metadata": {key.lower(): text for key, text in (value.get("Metadata") or {}).items()}
        if isinstance(value.get("Metadata"), dict)
        else value.get("Metadata")
    }
    return without_empty(value)
