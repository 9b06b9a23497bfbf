"""Which operation a request means."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from sagedock.aws import model, routing
from sagedock.aws.http import HttpRequest
from sagedock.aws.protocols import serialize_error
from sagedock.aws.routing import Unrouted, region, route
from wire.loopback import Loopback
from wire.oracle import service_model, signature

FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
TARGET = "x-amz-target"


def refused(request: HttpRequest) -> Unrouted:
    with pytest.raises(Unrouted) as caught:
        route(request)
    return caught.value


def test_names_of_routed_services_agree_with_their_models() -> None:
    for target, service in routing.TARGETS.items():
        assert model.metadata(service)["targetPrefix"] == target
    for version, service in routing.VERSIONS.items():
        assert model.metadata(service)["apiVersion"] == version
    for scope, service in routing.SCOPES.items():
        assert scope in (service_model(service).signing_name, service)


def test_runtime_and_control_plane_are_told_apart_by_path_not_scope() -> None:
    loop = Loopback()
    loop.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"1")
    loop.client("sagemaker").list_models()

    assert [(call.service, call.operation) for call in loop.calls] == [
        ("sagemaker-runtime", "InvokeEndpoint"),
        ("sagemaker", "ListModels"),
    ]


def test_an_unsigned_invocation_is_one() -> None:
    call = route(HttpRequest("POST", "/endpoints/e/invocations"))

    assert call.operation == "InvokeEndpoint"


def test_a_bucket_may_be_called_endpoints() -> None:
    loop = Loopback()

    loop.client("s3").put_object(Bucket="endpoints", Key="e/invocations", Body=b"1")

    assert loop.params[0]["Key"] == "e/invocations"


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({"authorization": signature("sts")}, "localhost:4599"),
        ({}, "localhost:4599"),
        ({}, "sts.eu-west-1.amazonaws.com"),
    ],
)
def test_query_services_are_known_by_scope_version_or_host(
    headers: dict[str, str], host: str
) -> None:
    version = "" if "amazonaws" in host else "&Version=2011-06-15"
    body = f"Action=GetCallerIdentity{version}".encode()

    call = route(HttpRequest("POST", "/", "", FORM | headers | {"host": host}, body))

    assert (call.service, call.operation, call.protocol) == ("sts", "GetCallerIdentity", "query")


def test_a_presigned_identity_request_is_a_get() -> None:
    credential = "X-Amz-Credential=AKID%2F20240101%2Feu-west-1%2Fsts%2Faws4_request"
    query = f"Action=GetCallerIdentity&Version=2011-06-15&{credential}"

    assert route(HttpRequest("GET", "/", query)).operation == "GetCallerIdentity"


@pytest.mark.parametrize("source", ["header", "query"])
def test_the_region_comes_from_the_signature(source: str) -> None:
    query = "X-Amz-Credential=AKID%2F20240101%2Feu-west-1%2Fs3%2Faws4_request"
    signed = {"authorization": signature("s3")} if source == "header" else {}

    request = HttpRequest("GET", "/b/k", "" if signed else query, signed)

    assert region(request) == "eu-west-1"
    assert region(HttpRequest("GET", "/b/k")) is None


@pytest.mark.parametrize(
    ("request_", "code", "status", "names"),
    [
        (
            HttpRequest("POST", "/", "", {TARGET: "SageMaker.CreateTeapot"}),
            "UnknownOperationException",
            400,
            "CreateTeapot",
        ),
        (
            HttpRequest("POST", "/", "", {TARGET: "DynamoDB_20120810.PutItem"}),
            "NotImplemented",
            501,
            "PutItem",
        ),
        (
            HttpRequest("POST", "/", "", FORM, b"Action=Nothing&Version=2010-05-08"),
            "InvalidAction",
            400,
            "Nothing",
        ),
        (
            HttpRequest(
                "POST",
                "/",
                "",
                FORM | {"authorization": signature("ec2")},
                b"Action=RunInstances&Version=2016-11-15",
            ),
            "NotImplemented",
            501,
            "ec2 RunInstances",
        ),
        (
            HttpRequest("PUT", "/BatchPutMetrics", "", {"authorization": signature("sagemaker")}),
            "NotImplemented",
            501,
            "sagemaker PUT /BatchPutMetrics",
        ),
        (
            HttpRequest("POST", "/service/Elsewhere/operation/Do"),
            "NotImplemented",
            501,
            "Elsewhere Do",
        ),
        (
            HttpRequest("POST", "/b", "", {"content-type": "multipart/form-data; boundary=x"}),
            "NotImplemented",
            501,
            "s3 PostObject",
        ),
    ],
)
def test_what_is_not_there_is_said_by_name(
    request_: HttpRequest, code: str, status: int, names: str
) -> None:
    error = refused(request_)

    assert (error.code, error.status) == (code, status)
    assert names in error.message


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("ecr", lambda client: client.describe_repositories()),
        ("ec2", lambda client: client.describe_instances()),
        ("sqs", lambda client: client.list_queues()),
        ("lambda", lambda client: client.list_functions()),
    ],
)
def test_other_services_get_an_error_that_their_clients_can_read(service: str, call: Any) -> None:
    client = Loopback().client(service)

    with pytest.raises(client.exceptions.ClientError) as caught:
        call(client)

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "does not emulate" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/bucket?acl"),
        ("DELETE", "/bucket?versions"),
        ("DELETE", "/bucket/key?acl"),
        ("PUT", "/bucket/key?uploadId=1"),
        ("PUT", "/bucket/key?partNumber=1"),
        ("PUT", "/bucket?location"),
        ("POST", "/bucket"),
        ("PUT", "/"),
        ("GET", "//key"),
    ],
)
def test_what_s3_does_not_have_does_not_become_something_else(method: str, target: str) -> None:
    path, _, query = target.partition("?")

    assert refused(HttpRequest(method, path, query)).status == 405


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("GET", "/bucket", {}, "ListObjects"),
        ("GET", "/bucket/", {}, "ListObjects"),
        ("GET", "/bucket?list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/bucket?location=", {}, "GetBucketLocation"),
        ("GET", "/bucket/key?x-id=GetObject", {}, "GetObject"),
        ("GET", "/bucket/key?versionId=1&response-content-type=a", {}, "GetObject"),
        ("GET", "/bucket/key?uploadId=1", {}, "ListParts"),
        ("PUT", "/bucket/key", {}, "PutObject"),
        ("PUT", "/bucket/key", {"x-amz-copy-source": "/a/b"}, "CopyObject"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=1", {}, "UploadPart"),
        (
            "PUT",
            "/bucket/key?partNumber=1&uploadId=1",
            {"x-amz-copy-source": "/a/b"},
            "UploadPartCopy",
        ),
        ("POST", "/bucket/key?uploads", {}, "CreateMultipartUpload"),
        ("POST", "/bucket/key?uploadId=1", {}, "CompleteMultipartUpload"),
        ("POST", "/bucket?delete", {}, "DeleteObjects"),
        ("DELETE", "/bucket/key?uploadId=1", {}, "AbortMultipartUpload"),
        ("HEAD", "/bucket/key", {}, "HeadObject"),
        ("HEAD", "/bucket", {}, "HeadBucket"),
        ("GET", "/bucket?lifecycle", {}, "GetBucketLifecycleConfiguration"),
    ],
)
def test_s3_operations_come_from_the_model(
    method: str, target: str, headers: dict[str, str], operation: str
) -> None:
    path, _, query = target.partition("?")

    assert route(HttpRequest(method, path, query, headers)).operation == operation


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("bucket.localhost:4599", "/bucket/key"),
        ("bucket.s3.localhost:4599", "/bucket/key"),
        ("my.bucket.localhost", "/my.bucket/key"),
        ("bucket.127.0.0.1.nip.io:4599", "/bucket/key"),
        ("bucket.s3.amazonaws.com", "/bucket/key"),
        ("bucket.s3.eu-west-1.amazonaws.com", "/bucket/key"),
        ("bucket.s3-eu-west-1.amazonaws.com", "/bucket/key"),
        ("bucket.s3.dualstack.eu-west-1.amazonaws.com", "/bucket/key"),
        ("bucket.s3-accelerate.amazonaws.com", "/bucket/key"),
        ("bucket.s3.cn-north-1.amazonaws.com.cn", "/bucket/key"),
        ("a.s3-b.s3.eu-west-1.amazonaws.com", "/a.s3-b/key"),
        ("BUCKET.localhost", "/bucket/key"),
    ],
)
def test_a_bucket_in_the_host_name_is_folded_into_the_path(host: str, path: str) -> None:
    call = route(HttpRequest("GET", "/key", "", {"host": host}))

    assert (call.operation, call.path) == ("GetObject", path)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:4599",
        "127.0.0.1:4599",
        "[::1]:4599",
        "s3.localhost",
        "s3.eu-west-1.amazonaws.com",
        "s3-eu-west-1.amazonaws.com",
        "s3.amazonaws.com",
        "sagedock:4599",
        "host.docker.internal",
        "192.168.1.7",
        "",
    ],
)
def test_any_other_host_name_means_path_style(host: str) -> None:
    call = route(HttpRequest("GET", "/bucket/key", "", {"host": host}))

    assert (call.operation, call.path) == ("GetObject", "/bucket/key")


KEYS = ["a b", "a+b", "a%2Fb", "ä/日本/😀", "/lead", "a//b", "trail/", "q?a=b&c", "#h", "~!*'()"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_boto3_keys_arrive_as_they_are(key: str, style: str) -> None:
    loop = Loopback()
    endpoint = "http://s3.localhost:4599" if style == "virtual" else "http://127.0.0.1:4599"
    client = loop.client("s3", endpoint, addressing_style=style)

    client.put_object(Bucket="my-bucket", Key=key, Body=b"x", Metadata={"Owner": "me"})
    client.copy_object(Bucket="my-bucket", Key=key, CopySource={"Bucket": "b", "Key": "k"})

    assert [(p["Bucket"], p["Key"]) for p in loop.params] == [("my-bucket", key)] * 2
    assert loop.params[0]["Metadata"] == {"owner": "me"}
    assert [call.operation for call in loop.calls] == ["PutObject", "CopyObject"]


@pytest.mark.parametrize("style", ["path", "virtual"])
def test_presigned_addresses_mean_what_was_signed(style: str) -> None:
    client = Loopback().client("s3", None, addressing_style=style, signature_version="s3v4")
    url = client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "a b+c"})
    address, _, query = url.partition("?")
    host, _, path = address.removeprefix("https://").partition("/")

    call = route(HttpRequest("GET", "/" + path, query, {"host": host}))

    assert (call.operation, call.path) == ("GetObject", "/bucket/a%20b%2Bc")


def test_a_path_that_is_not_utf8_is_refused() -> None:
    loop = Loopback()

    response = loop.handle(HttpRequest("GET", "/bucket/%ff"))

    assert response.status == 400
    assert b"<Code>InvalidURI</Code>" in response.body


def test_an_error_without_a_call_is_in_the_clients_protocol() -> None:
    error = refused(HttpRequest("DELETE", "/bucket", "acl"))

    assert serialize_error(None, error, "r").headers["Content-Type"] == "application/xml"


def test_newest_cloudwatch_clients_may_send_cbor() -> None:
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"

    call = route(HttpRequest("POST", path, "", {"smithy-protocol": "rpc-v2-cbor"}))

    assert (call.service, call.operation, call.protocol) == ("cloudwatch", "ListMetrics", "cbor")


def test_large_metric_data_arrives_packed_and_is_read() -> None:
    loop = Loopback()
    data = [{"MetricName": f"loss-{n}", "Value": float(n)} for n in range(400)]

    loop.client("cloudwatch").put_metric_data(Namespace="training", MetricData=data)

    assert loop.requests[0].headers["content-encoding"] == "gzip"
    assert loop.params[0]["MetricData"] == data


def test_a_packed_form_is_read_too() -> None:
    body = gzip.compress(b"Action=ListMetrics&Version=2010-08-01&Namespace=n")

    call = route(HttpRequest("POST", "/", "", FORM | {"content-encoding": "gzip"}, body))

    assert (call.service, call.operation) == ("cloudwatch", "ListMetrics")
