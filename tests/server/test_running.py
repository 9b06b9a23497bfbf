"""Starting, stopping and the port; and what we need of uvicorn."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from pathlib import Path

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from requests_as_sdks_send import PATIENCE
from sagedock.errors import StartupError
from sagedock.server.protocol import UVICORN_INTERNALS
from server.world import World

FOREGROUND = textwrap.dedent("""
    import pathlib, sys
    from server.world import World
    world = World(pathlib.Path(sys.argv[1]))
    world.server.serve(on_ready=lambda: print(world.server.url, flush=True))
    print("served", flush=True)
""")


def test_what_we_use_of_uvicorns_inside_is_there() -> None:
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    protocol = HttpToolsProtocol(config, uvicorn.server.ServerState(), {}, _loop=object())  # type: ignore[arg-type]
    protocol.on_message_begin()
    gone = [name for name in UVICORN_INTERNALS if not hasattr(protocol, name)]

    assert not gone, f"uvicorn {uvicorn.__version__} moved {gone}: adapt server/protocol.py"
    for method in ("_unset_keepalive_if_required", "on_response_complete", "send_400_response"):
        assert callable(getattr(protocol, method)), f"uvicorn moved {method}"


def test_a_taken_port_is_refused_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(StartupError) as caught:
            World(tmp_path, port=port)

    said = str(caught.value)
    assert said.startswith(f"Port {port} is taken")
    assert "--port" in said
    if sys.platform == "linux":
        assert f"by process {os.getpid()} (" in said


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_an_address_that_is_not_ours_is_refused_by_name(tmp_path: Path, host: str) -> None:
    with pytest.raises(StartupError, match=f"SAGEDOCK_HOST .--host. is '{host}'"):
        World(tmp_path, host=host)


def test_the_port_is_free_again_after_a_stop(tmp_path: Path) -> None:
    with World(tmp_path) as first:
        port = first.server.port

    with World(tmp_path, port=port) as again:
        assert again.server.port == port


def test_an_idle_connection_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        idle = socket.create_connection(world.address)
        idle.sendall(b"GET /_sagedock/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        said = b""
        while b"ok" not in said:
            said += idle.recv(4096)

    assert idle.recv(10) == b""


def test_ipv6_is_written_as_a_url(tmp_path: Path) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with (
        World(tmp_path, host="::1") as world,
        urllib.request.urlopen(f"{world.server.url}/_sagedock/health", timeout=PATIENCE) as answer,
    ):
        assert answer.status == 200


def test_serving_in_the_foreground_ends_at_a_signal(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), *sys.path])},
    )
    assert process.stdout is not None
    with process.stdout:
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/_sagedock/health", timeout=PATIENCE) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "served\n"
    assert process.wait(PATIENCE) == 0
