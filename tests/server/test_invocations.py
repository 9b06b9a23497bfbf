"""InvokeEndpoint: boto3, the real server, and a toy model server behind it."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.domain.routes import ModelServer, VariantRoute
from sagedock.server.limits import InvocationLimits
from server.model_server import Asked, ToyModelServer, answer, echo
from server.world import ACCOUNT, REGION, World

MIB = 1024 * 1024


@pytest.fixture
def model() -> Iterator[ToyModelServer]:
    with ToyModelServer() as server:
        yield server


@pytest.fixture
def runtime(world: World, model: ToyModelServer) -> Any:
    world.publish(model.here)
    return world.client("sagemaker-runtime")


def refusal(runtime: Any, **request: Any) -> dict[str, Any]:
    request = {"EndpointName": "toy", "Body": b"[1]", **request}
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(**request)
    return caught.value.response


def status_of(response: dict[str, Any]) -> int:
    status: int = response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def test_a_body_goes_to_the_container_and_comes_back(runtime: Any) -> None:
    said = runtime.invoke_endpoint(EndpointName="toy", Body=b"[1, 2]", ContentType="a/b; c=d")

    assert said["Body"].read() == b"[1, 2]"
    assert said["ContentType"] == "a/b; c=d"
    assert said["InvokedProductionVariant"] == "AllTraffic"
    assert said["ResponseMetadata"]["RequestId"]


def test_the_container_sees_the_headers_of_the_contract_and_no_others(
    runtime: Any, model: ToyModelServer
) -> None:
    runtime.invoke_endpoint(
        EndpointName="toy",
        Body=b"1",
        ContentType="text/csv",
        Accept="text/html",
        CustomAttributes="c=1",
        InferenceId="i",
        TargetVariant="AllTraffic",
    )

    headers = dict(model.asked[0].headers)
    assert headers.pop("host").startswith("127.0.0.1:")
    assert headers == {
        "content-type": "text/csv",
        "accept": "text/html",
        "content-length": "1",
        "x-amzn-sagemaker-custom-attributes": "c=1",
        "x-amzn-sagemaker-inference-id": "i",
    }


def test_custom_attributes_of_the_container_come_back_and_other_headers_do_not(
    runtime: Any, model: ToyModelServer
) -> None:
    model.behave = answer(headers={"X-Amzn-SageMaker-Custom-Attributes": "d=2", "X-Own": "x"})

    said = runtime.invoke_endpoint(EndpointName="toy", Body=b"1")

    assert said["CustomAttributes"] == "d=2"
    assert "x-own" not in said["ResponseMetadata"]["HTTPHeaders"]


def test_an_empty_body_is_an_invocation_too(runtime: Any, model: ToyModelServer) -> None:
    assert runtime.invoke_endpoint(EndpointName="toy", Body=b"")["Body"].read() == b""


def test_connections_to_a_model_server_are_kept(runtime: Any, model: ToyModelServer) -> None:
    for _ in range(5):
        runtime.invoke_endpoint(EndpointName="toy", Body=b"1")

    assert len(model.connections) == 1


# --- refusals ----------------------------------------------------------------------------------


def test_an_unknown_endpoint_is_refused_in_the_services_words(runtime: Any) -> None:
    said = refusal(runtime, EndpointName="nope")

    assert said["Error"]["Code"] == "ValidationError"
    assert said["Error"]["Message"] == f"Endpoint nope of account {ACCOUNT} not found."
    assert status_of(said) == 400


def test_an_endpoint_that_failed_is_refused_with_its_status(world: World, runtime: Any) -> None:
    world.publish(name="late", status="Failed")

    said = refusal(runtime, EndpointName="late")

    assert (said["Error"]["Code"], status_of(said)) == ("ValidationError", 400)
    assert "Endpoint late has the status Failed" in said["Error"]["Message"]


@pytest.mark.parametrize("status", ["InService", "Updating", "SystemUpdating"])
def test_while_its_server_is_started_again_an_endpoint_is_unavailable(
    world: World, runtime: Any, status: str
) -> None:
    world.publish(name="late", status=status)

    said = refusal(runtime, EndpointName="late")

    assert (said["Error"]["Code"], status_of(said)) == ("ServiceUnavailable", 503)
    assert "no model server of endpoint late is up" in said["Error"]["Message"]


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"TargetVariant": "other"}, "Variant other of endpoint toy"),
        ({"TargetModel": "m.tar.gz"}, "not a multi-model endpoint"),
        ({"CustomAttributes": "x" * 1025}, "customAttributes"),
        ({"Accept": "x" * 1025}, "accept"),
        ({"InferenceId": "x" * 65}, "inferenceId"),
        ({"EndpointName": "a_b"}, "endpointName"),
        ({"Body": b"x" * 30_000_000}, "exceeded 6291456 bytes"),
    ],
)
def test_a_request_that_breaks_a_rule_is_a_validation_error(
    runtime: Any, more: dict[str, Any], word: str
) -> None:
    said = refusal(runtime, **more)

    assert said["Error"]["Code"] == "ValidationError"
    assert word in said["Error"]["Message"]
    assert runtime.invoke_endpoint(EndpointName="toy", Body=b"1")["Body"].read() == b"1"


def test_what_is_not_emulated_is_refused_with_501(runtime: Any) -> None:
    said = refusal(runtime, TargetContainerHostname="second")

    assert status_of(said) == 501
    assert "multi-container" in said["Error"]["Message"]


def test_a_foreign_web_page_cannot_invoke(world: World, model: ToyModelServer) -> None:
    world.publish(model.here)

    said = raw(world, post(b"[1]", Origin="https://evil.example"))

    assert said.startswith(b"HTTP/1.1 403 ")
    assert b"https://evil.example" in said
    assert model.asked == []


# --- the container's errors --------------------------------------------------------------------


@pytest.mark.parametrize(("status", "whose"), [(500, "server"), (400, "client"), (302, "client")])
def test_an_error_of_the_container_is_a_model_error(
    runtime: Any, model: ToyModelServer, status: int, whose: str
) -> None:
    model.behave = answer(b"Traceback: lapwing", status)

    said = refusal(runtime)

    assert (said["Error"]["Code"], status_of(said)) == ("ModelError", 424)
    assert said["OriginalStatusCode"] == status
    assert said["OriginalMessage"] == "Traceback: lapwing"
    assert said["LogStreamArn"] == (
        f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/toy"
        ":log-stream:AllTraffic/i-1"
    )
    assert said["Error"]["Message"] == (
        f'Received {whose} error ({status}) from primary with message "Traceback: lapwing". See'
        f" http://logs/aws/sagemaker/Endpoints/toy in account {ACCOUNT} for more information."
    )


def test_a_long_error_keeps_its_beginning_and_its_end(runtime: Any, model: ToyModelServer) -> None:
    model.behave = answer(b"first" + b"-" * 5000 + b"last", 500)

    said = refusal(runtime)

    for text in (said["OriginalMessage"], said["Error"]["Message"]):
        assert len(text) <= 2048
        assert "first" in text
        assert "last" in text


def test_a_model_server_that_dies_at_work_is_a_model_error_and_is_asked_once(
    runtime: Any, model: ToyModelServer
) -> None:
    runtime.invoke_endpoint(
        EndpointName="toy", Body=b"1"
    )  # the next one comes on a kept connection
    model.behave = lambda connection, asked: connection.shutdown(socket.SHUT_RDWR)

    said = refusal(runtime)

    assert (said["Error"]["Code"], said["OriginalStatusCode"]) == ("ModelError", 500)
    assert len(model.asked) == 2


def test_a_model_server_that_is_gone_is_a_model_error(world: World, runtime: Any) -> None:
    world.publish(ModelServer("127.0.0.1", free_port(), "s"))

    said = refusal(runtime)

    assert (said["Error"]["Code"], said["OriginalStatusCode"]) == ("ModelError", 503)


def test_where_one_server_refuses_the_variants_other_answers(
    world: World, runtime: Any, model: ToyModelServer
) -> None:
    world.publish(ModelServer("127.0.0.1", free_port(), "s"), model.here)

    assert runtime.invoke_endpoint(EndpointName="toy", Body=b"1")["Body"].read() == b"1"


def test_a_connection_that_went_stale_is_replaced_unseen(
    world: World, runtime: Any, model: ToyModelServer
) -> None:
    runtime.invoke_endpoint(EndpointName="toy", Body=b"1")

    def reset(connection: socket.socket, asked: Asked) -> None:
        if asked.connection == 1:  # a reset is what a request to a closed connection meets
            linger = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.shutdown(socket.SHUT_RD)
            raise OSError
        echo(connection, asked)

    model.behave = reset

    assert runtime.invoke_endpoint(EndpointName="toy", Body=b"again")["Body"].read() == b"again"
    assert [asked.body for asked in model.asked] == [b"1", b"again", b"again"]


def test_a_model_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with World(tmp_path, InvocationLimits(seconds=0.2)) as world, ToyModelServer() as model:
        model.behave = lambda connection, asked: None
        world.publish(model.here)

        said = refusal(world.client("sagemaker-runtime"))

    assert (said["Error"]["Code"], said["OriginalStatusCode"]) == ("ModelError", 0)
    assert "timed out while waiting" in said["OriginalMessage"]


# --- limits and odd HTTP -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [5_000_000, 6_291_456])
def test_large_bodies_go_both_ways(runtime: Any, size: int) -> None:
    body = b"y" * size

    assert runtime.invoke_endpoint(EndpointName="toy", Body=body)["Body"].read() == body


def test_an_answer_over_the_limit_is_a_model_error(runtime: Any, model: ToyModelServer) -> None:
    model.behave = answer(b"x" * 6_291_457)

    assert "larger than 6291456 bytes" in refusal(runtime)["OriginalMessage"]


@pytest.mark.evidence("docs", "serverless-endpoints-invoke.html; sagemaker-python-sdk issue 4271")
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_serverless_endpoint_takes_4_mib_each_way(
    world: World, model: ToyModelServer, is_chunked: bool
) -> None:
    variant = VariantRoute("AllTraffic", 1.0, (model.here,), is_serverless=True)
    world.routes.publish(world.route("toy", "InService", (variant,)))
    runtime = world.client("sagemaker-runtime")
    most = 4 * MIB

    def ask(size: int) -> bytes:
        if not is_chunked:
            return raw(world, post(b"x" * size))
        chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
        return raw(world, post(None, Transfer_Encoding="chunked") + chunk)

    assert ask(most).startswith(b"HTTP/1.1 200 ")
    said = ask(most + 1)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert re.search(rb'"Request [0-9a-f-]{36} has oversize body\.', said)
    assert len(model.asked) == 1

    model.behave = answer(b"x" * (most + 1))
    assert "larger than 4194304 bytes" in refusal(runtime)["OriginalMessage"]


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_limits_can_be_a_warning_or_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: Any
) -> None:
    body = b"x" * 7_000_000
    with World(tmp_path, InvocationLimits(mode)) as world, ToyModelServer() as model:
        world.publish(model.here)
        runtime = world.client("sagemaker-runtime")
        with caplog.at_level(logging.WARNING):
            assert runtime.invoke_endpoint(EndpointName="toy", Body=body)["Body"].read() == body

    assert ("7000000 bytes" in caplog.text) == (mode == "warn")


def test_a_chunked_request_reaches_the_container_with_its_length(
    world: World, model: ToyModelServer
) -> None:
    world.publish(model.here)
    request = post(None, Transfer_Encoding="chunked") + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    assert raw(world, request).endswith(b"\r\n\r\nabcde")
    assert model.asked[0].headers["content-length"] == "5"


def test_a_chunked_request_over_the_limit_is_refused(world: World, model: ToyModelServer) -> None:
    world.publish(model.here)
    chunk = b"100000\r\n" + b"x" * MIB + b"\r\n"

    said = raw(world, post(None, Transfer_Encoding="chunked") + chunk * 7 + b"0\r\n\r\n")

    assert said.startswith(b"HTTP/1.1 413 ")
    assert model.asked == []


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-type: a/b\r\n\r\nabcde",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde",
    ],
    ids=["chunked", "until the end", "after a 100", "closing"],
)
def test_every_way_to_frame_an_answer_is_read(
    runtime: Any, model: ToyModelServer, said: bytes
) -> None:
    def behave(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(said)
        if b"HTTP/1.0" in said:
            connection.shutdown(socket.SHUT_RDWR)

    model.behave = behave

    for _ in range(2):
        assert runtime.invoke_endpoint(EndpointName="toy", Body=b"1")["Body"].read() == b"abcde"


def test_a_container_that_speaks_no_http_is_a_model_error(
    runtime: Any, model: ToyModelServer
) -> None:
    model.behave = lambda connection, asked: connection.sendall(b"SSH-2.0-OpenSSH\r\n")

    assert refusal(runtime)["OriginalStatusCode"] == 500


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(
    world: World, model: ToyModelServer
) -> None:
    world.publish(model.here)
    with socket.create_connection(world.address, PATIENCE) as client:
        client.sendall(post(None, Content_Length="3", Expect="100-continue"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert read_answer(client).endswith(b"abc")


def test_a_client_that_waits_for_100_continue_hears_of_its_mistake_first(world: World) -> None:
    said = raw(world, post(None, Content_Length="30000000", Expect="100-continue"))

    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said


def test_pipelined_requests_of_all_kinds_are_answered_in_order(
    world: World, model: ToyModelServer
) -> None:
    world.publish(model.here)
    ordinary = b"GET /_sagedock/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = post(b"third", Connection="close")

    said = raw(world, post(b"first") + ordinary + post(b"second") + ordinary + last)

    places = [said.index(w) for w in (b"first", b'{"status"', b"second", b"third")]
    assert places == sorted(places)
    assert said.count(b"HTTP/1.1 200 OK") == 5


def test_an_invocation_whose_client_left_is_dropped(world: World, model: ToyModelServer) -> None:
    closed = threading.Event()

    def behave(connection: socket.socket, asked: Asked) -> None:
        try:
            if not connection.recv(1):
                closed.set()
        except ConnectionResetError:
            closed.set()

    model.behave = behave
    world.publish(model.here)
    with socket.create_connection(world.address, PATIENCE) as client:
        client.sendall(post(b"1"))
        wait_until(lambda: bool(model.asked))

    assert closed.wait(PATIENCE)


def test_a_client_that_reads_slowly_holds_the_container_back(tmp_path: Path) -> None:
    sent = 0

    def behave(connection: socket.socket, asked: Asked) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            connection.sendall(b"x" * MIB)
            sent += 1

    with World(tmp_path, InvocationLimits("off")) as world, ToyModelServer(behave) as model:
        world.publish(model.here)
        with socket.create_connection(world.address, PATIENCE) as client:
            client.sendall(post(b"1", Connection="close"))
            settled = settle(lambda: sent)
            assert settled < 32  # the rest waits for us to read
            received = 0
            while data := client.recv(MIB):
                received += len(data)

    assert received > 64 * MIB


def test_a_container_that_reads_slowly_holds_the_client_back(tmp_path: Path) -> None:
    with (
        World(tmp_path, InvocationLimits("off")) as world,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        world.publish(ModelServer("127.0.0.1", listener.getsockname()[1], "s"))
        with socket.create_connection(world.address) as client:
            client.sendall(post(None, Content_Length=str(64 * MIB)))
            client.settimeout(0.5)
            sent = 0
            with suppress(TimeoutError):
                while sent < 64 * MIB:
                    sent += client.send(b"x" * MIB)

    assert sent < 32 * MIB


def test_the_least_busy_server_of_a_variant_answers(world: World, runtime: Any) -> None:
    release = threading.Event()
    with ToyModelServer() as slow, ToyModelServer() as free:
        slow.behave = lambda connection, asked: (release.wait(PATIENCE), echo(connection, asked))[1]
        world.publish(slow.here)
        hanging = threading.Thread(target=lambda: raw(world, post(b"1", Connection="close")))
        hanging.start()
        wait_until(lambda: bool(slow.asked))
        world.publish(slow.here, free.here)

        for _ in range(4):
            runtime.invoke_endpoint(EndpointName="toy", Body=b"2")
        release.set()
        hanging.join()

    assert (len(slow.asked), len(free.asked)) == (1, 4)


def test_weights_share_the_invocations_and_a_target_variant_overrides_them(
    world: World, runtime: Any
) -> None:
    with ToyModelServer() as a, ToyModelServer() as b:
        variants = (VariantRoute("a", 1.0, (a.here,)), VariantRoute("b", 0.0, (b.here,)))
        world.routes.publish(world.route("two", "InService", variants))
        told = [
            runtime.invoke_endpoint(EndpointName="two", Body=b"1", **more)[
                "InvokedProductionVariant"
            ]
            for more in ({}, {}, {"TargetVariant": "b"})
        ]

    assert told == ["a", "a", "b"]


# --- raw HTTP ----------------------------------------------------------------------------------


def post(body: bytes | None, **headers: str) -> bytes:
    """A request to the endpoint `toy`; `_` in header names stands for `-`."""
    lines = {"Host": "localhost", **{k.replace("_", "-"): v for k, v in headers.items()}}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /endpoints/toy/invocations HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def raw(world: World, request: bytes) -> bytes:
    """What the server says to `request`, until it closes or one answer is whole."""
    with socket.create_connection(world.address, PATIENCE) as client:
        client.sendall(request)
        if b"Connection: close" in request:
            return b"".join(iter(lambda: client.recv(65536), b""))
        return read_answer(client)


def read_answer(client: socket.socket) -> bytes:
    said = b""
    while b"\r\n\r\n" not in said:
        said += client.recv(65536)
    head, _, body = said.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines[b"content-length"]):
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(holds: Any) -> None:
    wait_for(holds, bool)


def settle(value: Any) -> Any:
    """`value()` once it has been the same for half a second."""
    seen, since = value(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.05)
        if value() != seen:
            seen, since = value(), time.monotonic()
    return seen


def test_an_error_body_is_json_with_the_members_of_its_shape(world: World) -> None:
    said = raw(world, post(b"1", Connection="close")).partition(b"\r\n\r\n")

    assert b"x-amzn-errortype: ValidationError" in said[0].replace(b"ErrorType", b"errortype")
    assert "not found" in json.loads(said[2]).get("Message", json.loads(said[2]).get("message"))
