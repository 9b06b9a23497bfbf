"""The second address to listen on, for runs in containers: who comes in by it, and who does not."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

import pytest

from requests_as_sdks_send import PATIENCE
from sagedock import Emulator
from sagedock.backends.process import ProcessBackend
from sagedock.server.origins import Door, Fence

DOOR = "127.0.0.2"


def test_only_neighbours_and_this_machine_come_in_by_a_door() -> None:
    fence = Fence("127.0.0.1", [Door("172.17.0.1", ("172.17.0.0/16", "10.213.0.0/16"))])
    assert fence.admits("172.17.0.1", "172.17.0.9")
    assert fence.admits("172.17.0.1", "10.213.4.2")
    assert fence.admits("172.17.0.1", "172.17.0.1")
    assert not fence.admits("172.17.0.1", "192.168.1.7")
    assert not fence.admits("172.17.0.1", "no address")
    assert fence.admits("127.0.0.1", "127.0.0.1"), "the main address is no door"


def test_a_door_is_a_name_of_ours_and_no_other_address_is() -> None:
    fence = Fence("127.0.0.1", [Door("172.17.0.1", ())])
    assert fence.knows("172.17.0.1:4599")
    assert not fence.knows("172.17.0.2:4599")
    assert not Fence("127.0.0.1").knows("172.17.0.1:4599")


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux alone")
@pytest.mark.parametrize(
    ("neighbours", "is_let_in"), [("127.0.0.0/8", True), ("10.0.0.0/8", False)]
)
def test_a_run_reaches_the_emulator_at_its_door_and_a_stranger_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, neighbours: str, is_let_in: bool
) -> None:
    monkeypatch.setattr(ProcessBackend, "host_address", lambda self: DOOR)
    monkeypatch.setattr(ProcessBackend, "neighbours", lambda self: (neighbours,))
    monkeypatch.setattr("sagedock.emulator.is_loopback", lambda address: False)
    with Emulator(home=tmp_path, backend="process") as dock:
        port = int(dock.url.rpartition(":")[2])
        there = http.client.HTTPConnection(
            DOOR, port, timeout=PATIENCE, source_address=("127.0.0.1", 0)
        )
        assert answers(there) is is_let_in


def answers(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/_sagedock/health")
        return connection.getresponse().status == 200
    except (http.client.RemoteDisconnected, ConnectionError):
        return False
