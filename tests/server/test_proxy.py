"""CONNECT: AWS's hosts answered over TLS by us, all others tunnelled."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from requests_as_sdks_send import PATIENCE
from server.model_server import ToyModelServer
from server.world import ACCOUNT, KEYS, World

UNMODIFIED = """
import boto3
sts = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
print(sts.get_caller_identity()["Account"])
"""


def through(world: World, service: str, **more: Any) -> Any:
    """A client of the real AWS address whose calls go through the proxy."""
    config = Config(proxies={"https": world.server.url}, retries={"total_max_attempts": 1})
    return boto3.client(service, verify=str(world.authority.bundle({})), config=config, **KEYS)


def connect(world: World, target: str) -> tuple[socket.socket, bytes]:
    client = socket.create_connection(world.address, PATIENCE)
    client.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    return client, client.recv(4096)


def test_an_unmodified_program_reaches_us_at_the_address_it_built_itself(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNMODIFIED],
        env=world.proxied_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert done.stdout.strip() == ACCOUNT, done.stderr


def test_s3_is_reached_at_its_virtual_hosts(world: World) -> None:
    s3 = through(world, "s3")

    s3.put_object(Bucket="my.bucket-1", Key="k", Body=b"x" * 1_000_000)
    head = s3.head_object(Bucket="my-bucket", Key="k")

    assert head["Metadata"]["asked"] == "HeadObject /my-bucket/k"


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_an_invocation_inside_tls_takes_the_fast_lane(world: World, size: int) -> None:
    body = b"z" * size
    with ToyModelServer() as model:
        world.publish(model.here)
        runtime = through(world, "sagemaker-runtime")
        for _ in range(2):
            said = runtime.invoke_endpoint(EndpointName="toy", Body=body)
            assert said["Body"].read() == body

    assert len(model.asked) == 2


def test_many_tls_sessions_at_once_are_served(world: World) -> None:
    told: list[str] = []

    def ask() -> None:
        told.append(through(world, "sts").get_caller_identity()["Account"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told == [ACCOUNT] * 8


def test_a_request_in_the_handshakes_last_flight_is_not_lost(world: World) -> None:
    """TLS 1.3 lets a client send its request together with the end of the handshake."""
    context = ssl.create_default_context(cafile=str(world.authority.ca_path))
    client, said = connect(world, "sts.us-east-1.amazonaws.com:443")
    assert said.startswith(b"HTTP/1.1 200 ")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="sts.us-east-1.amazonaws.com")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.sendall(outgoing.read())
            incoming.write(client.recv(65536))
    tls.write(b"GET /_sagedock/health HTTP/1.1\r\nHost: sts.us-east-1.amazonaws.com\r\n\r\n")
    client.sendall(outgoing.read())  # Finished and the request in one segment

    while True:
        incoming.write(client.recv(65536))
        try:
            assert tls.read().startswith(b"HTTP/1.1 200 ")
            break
        except ssl.SSLWantReadError:
            continue
    client.close()


def test_another_host_is_tunnelled_untouched(world: World) -> None:
    with echo_server() as port:
        client, said = connect(world, f"127.0.0.1:{port}")
        assert said.startswith(b"HTTP/1.1 200 ")
        payload = os.urandom(3_000_000)
        sender = threading.Thread(
            target=lambda: (client.sendall(payload), client.shutdown(socket.SHUT_WR))
        )
        sender.start()
        got = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join()

    assert got == payload


def test_a_tunnel_to_nowhere_says_so(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    client, said = connect(world, f"127.0.0.1:{port}")

    assert said.startswith(b"HTTP/1.1 502 ")
    assert f"cannot reach 127.0.0.1:{port}".encode() in said
    assert client.recv(10) == b""


@pytest.mark.parametrize("target", ["nonsense", "host:", "a@host:1", "host:99999"])
def test_a_connect_without_host_and_port_is_refused(world: World, target: str) -> None:
    assert connect(world, target)[1].startswith(b"HTTP/1.1 400 ")


def test_the_users_own_proxy_is_used_for_other_hosts(tmp_path: Path) -> None:
    with (
        echo_server() as port,
        users_proxy(port) as (address, heads),
        World(tmp_path, environment={"https_proxy": f"http://me:p%40ss@{address}"}) as world,
    ):
        client, said = connect(world, "some.example:443")
        client.sendall(b"hello")
        assert (said[:13], client.recv(10)) == (b"HTTP/1.1 200 ", b"hello")
        client.close()

    assert heads[0].startswith("CONNECT some.example:443 ")
    assert base64.b64encode(b"me:p@ss").decode() in heads[0]


def test_no_proxy_and_loopback_go_around_the_users_proxy(tmp_path: Path) -> None:
    user = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "skipped.localhost"}
    with echo_server() as port, World(tmp_path, environment=user) as world:
        assert connect(world, f"127.0.0.1:{port}")[1].startswith(b"HTTP/1.1 200 ")
        assert b"through the proxy 127.0.0.1:1" in connect(world, "some.example:443")[1]


def test_a_users_proxy_that_refuses_is_named(tmp_path: Path) -> None:
    with (
        users_proxy(None) as (address, _),
        World(tmp_path, environment={"https_proxy": f"http://{address}"}) as world,
    ):
        said = connect(world, "some.example:443")[1]

    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"the proxy answered 407" in said


def test_plain_http_for_an_aws_host_is_served(world: World) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": world.server.url}))
    asked = "http://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"

    with opener.open(asked, timeout=PATIENCE) as answer:
        assert ACCOUNT in answer.read().decode()


def test_plain_http_for_another_host_is_refused_with_a_way_out(world: World) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": world.server.url}))

    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open("http://some.example/", timeout=PATIENCE)

    assert caught.value.code == 501
    assert "HTTPS_PROXY only" in caught.value.read().decode()


def test_stopping_ends_open_tunnels(tmp_path: Path) -> None:
    with echo_server() as port:
        with World(tmp_path) as world:
            client, _ = connect(world, f"127.0.0.1:{port}")
            client.sendall(b"hello")
            assert client.recv(10) == b"hello"
        try:
            assert client.recv(10) == b""
        except ConnectionResetError:
            client.close()


@contextmanager
def echo_server() -> Iterator[int]:
    """Sends back what it gets, over plain TCP."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    with listening(serve) as port:
        yield port


@contextmanager
def users_proxy(onwards: int | None) -> Iterator[tuple[str, list[str]]]:
    """A CONNECT proxy that leads every host to port `onwards`, or refuses all."""
    heads: list[str] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            heads.append(connection.recv(65536).decode())
            if onwards is None:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with socket.create_connection(("127.0.0.1", onwards)) as far:
                while data := connection.recv(65536):
                    far.sendall(data)
                    connection.sendall(far.recv(65536))

    with listening(serve) as port:
        yield f"127.0.0.1:{port}", heads


@contextmanager
def listening(serve: Any) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
