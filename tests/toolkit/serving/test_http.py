"""HTTP as clients send it, well and badly."""

from __future__ import annotations

import json
import socket
import time

import pytest

from .conftest import ECHO, LEGACY, MODERN, PATIENCE, Served, World, read_to_end, wait_until

HEAD = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
CLOSE = b"Connection: close\r\n"


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def length_seen(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
    return int(json.loads(body_of(answer))["length"])


def test_ping_is_200_and_older_generations_send_no_body(any_echo: Served) -> None:
    reply = any_echo.request("GET", "/ping")

    assert (reply.status, len(reply.body) > 0) == (200, b"status" in reply.body)
    assert any_echo.request("HEAD", "/ping").body == b""


def test_an_unknown_path_is_a_404(any_echo: Served) -> None:
    assert any_echo.request("GET", "/elsewhere").status == 404
    assert any_echo.request("POST", "/elsewhere", b"body").status == 404


def test_invocations_takes_only_post(any_echo: Served) -> None:
    assert any_echo.request("GET", "/invocations").status == 405


def test_execution_parameters_are_not_served(any_echo: Served) -> None:
    assert any_echo.request("GET", "/execution-parameters").status == 404


def test_one_connection_carries_many_requests(any_echo: Served) -> None:
    with any_echo.connect() as client:
        for number in range(1, 4):
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % number + b"x" * number)
            assert length_seen(client.recv(4096)) == number


def test_pipelined_requests_are_answered_in_order(any_echo: Served) -> None:
    sent = b"".join(HEAD + b"Content-Length: %d\r\n\r\n" % n + b"x" * n for n in range(200))
    received = any_echo.raw(sent + HEAD + CLOSE + b"Content-Length: 200\r\n\r\n" + b"x" * 200)

    answers = received.split(b"HTTP/1.1 ")[1:]
    assert [json.loads(body_of(answer))["length"] for answer in answers] == list(range(201))


def test_a_chunked_body_is_put_together(any_echo: Served) -> None:
    chunks = b"3\r\nabc\r\n0A ; note=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"

    assert (
        length_seen(any_echo.raw(HEAD + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + chunks))
        == 13
    )


def test_a_request_may_come_byte_by_byte(any_echo: Served) -> None:
    whole = HEAD + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    with any_echo.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in whole:
            client.sendall(bytes([byte]))
            time.sleep(0.0005)
        assert length_seen(read_to_end(client)) == 2


def test_a_client_that_asks_first_is_told_to_continue(any_echo: Served) -> None:
    with any_echo.connect() as client:
        client.sendall(HEAD + CLOSE + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert length_seen(read_to_end(client)) == 2


def test_a_client_that_asks_first_with_too_much_is_refused_at_once(modern_echo: Served) -> None:
    received = modern_echo.raw(HEAD + b"Content-Length: 6553501\r\nExpect: 100-continue\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_chunked_body_over_the_limit_is_refused(modern_echo: Served) -> None:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"

    received = modern_echo.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 7)

    assert received.startswith(b"HTTP/1.1 413 ")


def test_five_megabytes_go_in_and_come_out_whole(any_echo: Served) -> None:
    filler = "y" * 5_000_000

    assert any_echo.invoke({"big": 5_000_000, "filler": filler}).body == b"x" * 5_000_000


def test_older_generations_take_a_body_of_any_size(legacy_echo: Served) -> None:
    reply = legacy_echo.invoke(b"x" * 20_000_000, {"Content-Type": "a/b"})

    assert (reply.status, reply.json["length"]) == (200, 20_000_000)


def test_http_10_is_answered_and_closed(any_echo: Served) -> None:
    received = any_echo.raw(b"GET /ping HTTP/1.0\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in received


def test_a_proxys_absolute_target_is_understood(any_echo: Served) -> None:
    received = any_echo.raw(b"GET http://x:8080/ping HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /ping\r\n\r\n", 400),
        (b"GET /ping HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /ping HTTP/1.1\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nA: b\x00\r\n\r\n", 400),
        (b"GET  /ping HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1 1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 5000, 400),
        (HEAD + b"Expect: a miracle\r\n\r\n", 417),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 40_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(
    any_echo: Served, request_bytes: bytes, status: int
) -> None:
    received = any_echo.raw(request_bytes)

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in received
    assert any_echo.invoke([1]).status == 200


def test_a_client_that_closes_its_side_is_still_answered(any_echo: Served) -> None:
    with any_echo.connect() as client:
        client.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")
        client.shutdown(socket.SHUT_WR)
        assert length_seen(read_to_end(client)) == 1


def test_a_client_that_breaks_off_in_mid_request_leaves_nothing_behind(any_echo: Served) -> None:
    for part in (b"POST /inv", HEAD, HEAD + b"Content-Length: 9\r\n\r\nabc"):
        with any_echo.connect() as client:
            client.sendall(part)

    assert any_echo.invoke([1]).status == 200


def test_slow_clients_hold_no_worker(world: World) -> None:
    served = world.serve(ECHO, MODERN)
    slow = [served.connect() for _ in range(10)]
    for client in slow:
        client.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000)

    assert served.invoke([1]).status == 200
    for client in slow:
        client.close()


def test_clients_that_do_not_read_hold_no_worker(world: World) -> None:
    served = world.serve(ECHO, MODERN)
    order = b'{"big": 5000000}'
    deaf = [served.connect() for _ in range(3)]
    for client in deaf:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(order) + order)

    assert served.invoke([1]).status == 200
    assert len(read_to_end_of(deaf[0], 5_000_000)) > 5_000_000
    for client in deaf:
        client.close()


def read_to_end_of(client: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) <= size:
        received += client.recv(1 << 20)
    return received


def test_an_older_server_answers_ping_only_once_a_worker_has_loaded(world: World) -> None:
    served = world.serve(
        """
        import os, time
        def model_fn(model_dir):
            while not os.path.exists(os.path.join(model_dir, "go")):
                time.sleep(0.02)
        def transform_fn(m, d, c, a): return "x", a
        """,
        LEGACY, wait=False,
    )  # fmt: skip
    wait_until(lambda: "Serving" in served.log, "the start")
    with served.connect() as client:
        client.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        (served.base / "model" / "go").touch()
        client.settimeout(PATIENCE)
        assert read_to_end(client).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_modern_server_answers_ping_while_it_loads(world: World) -> None:
    served = world.serve("import time\ntime.sleep(60)", wait=False)
    wait_until(lambda: "Serving" in served.log, "the start")

    assert served.request("GET", "/ping").json == {"status": "Unhealthy"}


def test_a_port_that_is_taken_is_said_at_once(world: World, legacy_echo: Served) -> None:
    served = world.serve(ECHO, wait=False, SAGEMAKER_BIND_TO_PORT=str(legacy_echo.port))

    assert served.process.wait(PATIENCE) == 1
    assert f"Cannot listen on 127.0.0.1:{legacy_echo.port}: Address already in use" in served.log


def test_a_number_that_is_none_is_named(world: World) -> None:
    served = world.serve(ECHO, wait=False, SAGEMAKER_MODEL_SERVER_TIMEOUT="soon")

    assert served.process.wait(PATIENCE) == 1
    assert "SAGEMAKER_MODEL_SERVER_TIMEOUT is 'soon'" in served.log
