"""For whom the proxy opens tunnels when the emulator is in a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagedock.server.neighbours import Neighbours

# Of a container on 172.18.0.0/16, by which it reaches the world, and on 10.213.0.0/28.
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth1\t0000D50A\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.fixture
def neighbours(tmp_path: Path) -> Neighbours:
    (tmp_path / "route").write_text(ROUTES, encoding="ascii")
    return Neighbours.of_this_container(tmp_path / "route")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "172.18.0.1", "172.18.3.4"])
def test_the_machine_and_the_container_s_network_are_neighbours(
    neighbours: Neighbours, address: str
) -> None:
    assert neighbours.has(address)


@pytest.mark.parametrize("address", ["10.213.0.2", "192.168.1.5", "8.8.8.8", "nonsense"])
def test_isolated_jobs_and_other_machines_are_not(neighbours: Neighbours, address: str) -> None:
    assert not neighbours.has(address)


def test_where_routes_cannot_be_read_only_this_machine_is_near(tmp_path: Path) -> None:
    alone = Neighbours.of_this_container(tmp_path / "nowhere")

    assert alone.has("127.0.0.1")
    assert not alone.has("172.18.0.1")
