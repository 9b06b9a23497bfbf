"""Answers as boto3's users see them, where the model alone does not say it."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any
from xml.etree import ElementTree

import pytest

from sagedock.aws.http import HttpRequest
from sagedock.aws.model import Call
from sagedock.aws.protocols import parse, serialize, serialize_error
from sagedock.aws.routing import route
from sagedock.errors import NotEmulated, ServiceError
from wire.loopback import Loopback

NOW = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=timezone.utc)
S3_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def s3(operation: str) -> Call:
    return Call("s3", operation, "rest-xml")


def failing(error: ServiceError) -> Loopback:
    def answers(call: Call, params: dict[str, Any]) -> dict[str, Any]:
        raise error

    return Loopback(answers)


def test_a_describe_comes_back_with_times_and_empty_lists() -> None:
    answer = {
        "TrainingJobName": "j",
        "CreationTime": NOW,
        "InputDataConfig": [],
        "FailureReason": None,
        "Ours": 1,
    }
    client = Loopback(lambda call, params: answer).client("sagemaker")

    found = client.describe_training_job(TrainingJobName="j")

    assert found.pop("ResponseMetadata")["RequestId"] == "request-1"
    assert found == {"TrainingJobName": "j", "CreationTime": NOW, "InputDataConfig": []}


def test_an_operation_without_an_answer_has_no_body() -> None:
    response = serialize(Call("sagemaker", "DeleteModel", "json"), {}, "r")

    assert (response.status, response.body) == (200, b"")


def test_a_model_error_reaches_boto3_with_its_fields() -> None:
    fields = {"OriginalStatusCode": 500, "OriginalMessage": "boom", "LogStreamArn": "arn"}
    error = ServiceError("Received server error", code="ModelError", status=424, fields=fields)
    client = failing(error).client("sagemaker-runtime")

    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName="e", Body=b"1")

    assert {name: caught.value.response[name] for name in fields} == fields
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424


def test_an_async_invocation_is_accepted_with_202() -> None:
    call = Call("sagemaker-runtime", "InvokeEndpointAsync", "rest-json")

    response = serialize(call, {"InferenceId": "i", "OutputLocation": "s3://b/o"}, "r")

    assert (response.status, response.body) == (202, b'{"InferenceId":"i"}')
    assert response.headers["X-Amzn-SageMaker-OutputLocation"] == "s3://b/o"


@pytest.mark.parametrize(
    ("service", "operation", "protocol"),
    [
        ("sagemaker", "CreateDomain", "json"),
        ("cloudwatch", "PutDashboard", "cbor"),
        ("iam", "CreateUser", "query"),
        ("s3", "PutBucketPolicy", "rest-xml"),
    ],
)
def test_what_is_not_emulated_is_named_in_every_protocol(
    service: str, operation: str, protocol: Any
) -> None:
    error = NotEmulated(service, operation)

    response = serialize_error(Call(service, operation, protocol), error, "r")

    assert response.status == 501
    assert operation.encode() in response.body


def test_an_error_before_any_call_is_json() -> None:
    response = serialize_error(None, ServiceError("Oh", code="InternalFailure"), "r")

    assert response.status == 500
    assert response.body == b'{"__type":"InternalFailure","message":"Oh"}'


def test_cloudwatch_errors_carry_the_code_of_the_old_protocol() -> None:
    client = failing(ServiceError("Gone", code="ResourceNotFound", status=404)).client("cloudwatch")

    with pytest.raises(client.exceptions.ClientError) as caught:
        client.get_dashboard(DashboardName="d")

    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_an_iam_error_is_known_by_its_name_or_its_code() -> None:
    for code in ("NoSuchEntity", "NoSuchEntityException"):
        client = failing(ServiceError("No role", code=code, status=404)).client("iam")

        with pytest.raises(client.exceptions.NoSuchEntityException):
            client.get_role(RoleName="r")


def test_s3_errors_carry_fields_and_ids() -> None:
    error = ServiceError("Gone", code="NoSuchKey", status=404, fields={"Key": "a<b"})
    client = failing(error).client("s3")

    with pytest.raises(client.exceptions.NoSuchKey) as caught:
        client.get_object(Bucket="b", Key="a<b")

    assert caught.value.response["Error"]["Key"] == "a<b"
    assert caught.value.response["ResponseMetadata"]["RequestId"] == "request-1"


def test_not_modified_has_no_body() -> None:
    error = ServiceError("Same", code="NotModified", status=304, headers={"ETag": '"e"'})

    response = serialize_error(s3("GetObject"), error, "r")

    assert (response.status, response.body, response.headers["ETag"]) == (304, b"", '"e"')


def test_a_streamed_object_has_headers_and_no_length() -> None:
    answer = {"ContentLength": 7, "ContentType": "a/b", "LastModified": NOW, "Body": b"no"}

    response = serialize(s3("GetObject"), answer | {"Metadata": {"owner": "me"}}, "r")

    assert response.body == b""
    assert "Content-Length" not in response.headers
    assert response.headers["Last-Modified"] == "Thu, 29 Feb 2024 12:30:15 GMT"
    assert response.headers["x-amz-meta-owner"] == "me"


def test_a_part_of_an_object_is_206() -> None:
    answer = {"ContentRange": "bytes 0-1/7", "ContentLength": 2}

    assert serialize(s3("GetObject"), answer, "r").status == 206
    assert serialize(s3("HeadObject"), answer, "r").headers["Content-Length"] == "2"


def test_nothing_in_a_header_can_start_another() -> None:
    query = "response-content-disposition=a%0d%0aSet-Cookie:%20b"
    request = HttpRequest("GET", "/b/k", query)
    asked = parse(route(request), request)["ResponseContentDisposition"]

    response = serialize(s3("GetObject"), {"ContentDisposition": asked}, "r")

    assert response.headers["Content-Disposition"] == "a Set-Cookie: b"


def test_metadata_that_latin1_cannot_hold_is_encoded() -> None:
    response = serialize(s3("HeadObject"), {"Metadata": {"name": "日本"}}, "r")

    assert response.headers["x-amz-meta-name"] == "=?UTF-8?B?5pel5pys?="


@pytest.mark.evidence("docs", "S3 API reference, response syntax of each operation")
@pytest.mark.parametrize(
    ("operation", "root"),
    [
        ("ListBuckets", "ListAllMyBucketsResult"),
        ("ListObjectsV2", "ListBucketResult"),
        ("CreateMultipartUpload", "InitiateMultipartUploadResult"),
        ("CompleteMultipartUpload", "CompleteMultipartUploadResult"),
        ("CopyObject", "CopyObjectResult"),
        ("UploadPartCopy", "CopyPartResult"),
        ("DeleteObjects", "DeleteResult"),
        ("GetBucketVersioning", "VersioningConfiguration"),
        ("GetObjectTagging", "Tagging"),
        ("GetBucketAcl", "AccessControlPolicy"),
    ],
)
def test_s3_answers_have_the_root_that_other_clients_look_for(operation: str, root: str) -> None:
    body = serialize(s3(operation), {}, "r").body

    assert ElementTree.fromstring(body).tag == S3_NAMESPACE + root


def test_lists_and_grants_of_s3_are_read_by_boto3() -> None:
    owner = {"ID": "me", "DisplayName": "Me & Co"}
    grantee = {"Type": "CanonicalUser", "ID": "me"}
    answer = {"Owner": owner, "Grants": [{"Grantee": grantee, "Permission": "FULL_CONTROL"}]}

    found = Loopback(lambda call, params: answer).client("s3").get_bucket_acl(Bucket="b")

    assert (found["Owner"], found["Grants"]) == (answer["Owner"], answer["Grants"])


def test_awkward_keys_survive_a_listing() -> None:
    keys = ["a&b", "<c>", "d e", "é/日本", 'q"', "tab\tline\r\n"]
    answer = {"Name": "b", "Contents": [{"Key": key, "LastModified": NOW} for key in keys]}
    client = Loopback(lambda call, params: answer).client("s3")

    found = client.list_objects_v2(Bucket="b", EncodingType="url")

    assert [item["Key"] for item in found["Contents"]] == keys
    assert found["Contents"][0]["LastModified"] == NOW


def test_the_bucket_location_is_what_boto3_makes_of_it() -> None:
    for where in ("eu-west-1", None):
        client = Loopback(lambda call, params, w=where: {"LocationConstraint": w}).client("s3")

        assert client.get_bucket_location(Bucket="b")["LocationConstraint"] == where


def test_numbers_that_json_lacks_are_texts() -> None:
    call = Call("cloudwatch", "GetMetricData", "json")
    values = [math.nan, math.inf, -math.inf, 1.0]

    body = serialize(call, {"MetricDataResults": [{"Values": values}]}, "r").body

    assert b'["NaN","Infinity","-Infinity",1.0]' in body


def test_aws_chunked_is_not_the_objects_encoding_nor_its_length() -> None:
    headers = {
        "content-encoding": "aws-chunked,gzip",
        "content-length": "900",
        "x-amz-decoded-content-length": "700",
    }
    request = HttpRequest("PUT", "/b/k", "", headers)

    found = parse(route(request), request)

    assert (found["ContentEncoding"], found["ContentLength"]) == ("gzip", 700)
    assert "Body" not in found
