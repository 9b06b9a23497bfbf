"""Ordinary AWS requests: from boto3 to an operation and back, and what can go wrong between."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from requests_as_sdks_send import PATIENCE
from server.world import ACCOUNT, World


def get(world: World, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*world.address, timeout=PATIENCE)
    connection.request(
        "GET", path, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


def error_of(call: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response


def test_an_operation_answers_in_its_own_protocol(world: World) -> None:
    said = world.client("sts").get_caller_identity()

    assert said["Account"] == ACCOUNT
    assert said["ResponseMetadata"]["RequestId"]


def test_the_region_is_the_one_a_request_is_signed_for(world: World) -> None:
    assert world.client("sts").get_caller_identity()["Arn"] == "arn:us-east-1"


def test_an_unsigned_request_has_the_configured_region(world: World) -> None:
    status, said = get(world, "/?Action=GetCallerIdentity&Version=2011-06-15")

    assert (status, "arn:eu-west-3" in said) == (200, True)


def test_a_service_error_keeps_its_code_status_and_text(world: World) -> None:
    said = error_of(
        lambda: world.client("sagemaker").describe_training_job(TrainingJobName="other")
    )

    assert said["Error"] == {
        "Code": "ValidationException",
        "Message": "Requested resource not found.",
    }
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_value_that_breaks_the_model_is_refused_before_the_operation(world: World) -> None:
    said = error_of(lambda: world.client("sagemaker").delete_model(ModelName="a_b!"))

    assert said["Error"]["Code"] == "ValidationException"
    assert "modelName" in said["Error"]["Message"]


def test_an_operation_that_is_not_there_says_so_with_501(world: World) -> None:
    said = error_of(lambda: world.client("sagemaker").list_apps())

    assert said["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "sagemaker ListApps" in said["Error"]["Message"]


@pytest.mark.parametrize(
    "operation", ["invoke_endpoint_async", "invoke_endpoint_with_response_stream"]
)
def test_other_ways_to_invoke_are_refused_with_501(world: World, operation: str) -> None:
    more = {"InputLocation": "s3://b/k"} if operation.endswith("async") else {"Body": b"1"}
    runtime = world.client("sagemaker-runtime")

    said = error_of(lambda: getattr(runtime, operation)(EndpointName="toy", **more))

    assert said["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_an_exception_nobody_meant_is_our_fault_and_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        said = error_of(lambda: world.client("sagemaker").delete_model(ModelName="m"))

    assert said["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert said["Error"]["Code"] == "InternalFailure"
    assert "a fault in sagedock" in said["Error"]["Message"]
    assert said["ResponseMetadata"]["RequestId"] in said["Error"]["Message"]
    assert "nobody meant this" in caplog.text


def test_s3_calls_go_to_the_streams(world: World) -> None:
    s3 = world.client("s3")

    put = s3.put_object(Bucket="bucket", Key="a/b", Body=b"x" * 300_000)

    assert put["ETag"] == '"300000"'
    head = s3.head_object(Bucket="bucket", Key="a/b")
    assert head["Metadata"]["asked"] == "HeadObject /bucket/a/b"


def test_an_error_of_s3_is_answered_after_the_upload_was_read(world: World) -> None:
    s3 = world.client("s3", s3={"payload_signing_enabled": True})

    said = error_of(lambda: s3.put_object(Bucket="missing", Key="k", Body=b"x" * 3_000_000))

    assert said["Error"]["Code"] == "NoSuchBucket"


def test_a_fault_of_ours_in_s3_is_an_internal_failure(world: World) -> None:
    said = error_of(lambda: world.client("s3").get_object(Bucket="broken", Key="k"))

    assert said["Error"]["Code"] == "InternalFailure"


def test_a_control_plane_body_over_the_limit_is_answered_not_cut_off(world: World) -> None:
    connection = http.client.HTTPConnection(*world.address, timeout=PATIENCE)
    target = {"X-Amz-Target": "SageMaker.CreateModel", "Content-Type": "application/x-amz-json-1.1"}

    connection.request("POST", "/", b" " * 17_000_000, target)

    answer = connection.getresponse()
    assert answer.status == 413
    assert "16777216" in json.loads(answer.read())["message"]


def test_a_head_request_has_no_body(world: World) -> None:
    connection = http.client.HTTPConnection(*world.address, timeout=PATIENCE)
    connection.request("HEAD", "/_sagedock/none")
    assert connection.getresponse().read() == b""

    connection.request("GET", "/_sagedock/health")  # the connection is still in step

    assert json.loads(connection.getresponse().read()) == {"status": "ok"}


def test_health_readiness_and_info_are_told(world: World) -> None:
    world.is_ready = False
    assert get(world, "/_sagedock/ready") == (503, '{"status":"starting"}')
    world.is_ready = True
    assert get(world, "/_sagedock/ready")[0] == 200
    assert json.loads(get(world, "/_sagedock/info")[1])["account"] == ACCOUNT


def test_a_browser_gets_a_page(world: World) -> None:
    status, said = get(world, "/", Accept="text/html,*/*", Sec_Fetch_Site="none")

    assert status == 200
    assert f"AWS_ENDPOINT_URL=http://127.0.0.1:{world.server.port}" in said


def test_many_requests_at_once_are_all_answered(world: World) -> None:
    answers: list[int] = []

    def ask() -> None:
        with urllib.request.urlopen(
            f"{world.server.url}/_sagedock/health", timeout=PATIENCE
        ) as answer:
            answers.append(answer.status)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 40


@pytest.mark.parametrize("request_line", ["nonsense", "GET http:// HTTP/1.1"])
def test_what_is_no_request_gets_an_answer(world: World, request_line: str) -> None:
    with socket.create_connection(world.address, PATIENCE) as client:
        client.sendall(f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 4")


def test_an_offer_of_http2_is_answered_in_http1(world: World) -> None:
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    with socket.create_connection(world.address, PATIENCE) as client:
        request = f"GET /_sagedock/health HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n"
        client.sendall(request.encode())
        said = b"".join(iter(lambda: client.recv(4096), b""))

    assert said.startswith(b"HTTP/1.1 200 OK")
