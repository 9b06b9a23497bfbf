"""Several hosts of one job: by name, on a network of their own."""

from __future__ import annotations

import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backends.stages import DockerStage
from requests_as_sdks_send import PATIENCE
from sagedock.backends.base import Run
from sagedock.backends.docker.networks import JOB_NETWORKS

pytestmark = pytest.mark.docker

MEETS = """
import json, socket
me, hosts = socket.gethostname(), {hosts!r}
door = socket.create_server(('', 5000))
def tries(ask):
    for _ in range(3000):
        try: return ask()
        except OSError: time.sleep(0.02)
    raise SystemExit('nobody there')
first = {{}}
for host in hosts:
    try: first[host] = socket.gethostbyname(host)
    except OSError as error: first[host] = str(error)
found = {{host: tries(lambda: socket.gethostbyname(host)) for host in hosts}}
for host in hosts:
    tries(lambda: socket.create_connection((host, 5000), 5)).close()
print(json.dumps([found, sorted(os.listdir('/sys/class/net')), first[me] == found[me]]), flush=True)
while not os.path.exists(ml + '/go'): time.sleep(0.01)
"""


def start(stage: DockerStage, count: int, **wishes: object) -> tuple[list[Run], list[Any]]:
    """All hosts of a job that look for each other, and tell what they found once they did."""
    hosts = tuple(f"algo-{number + 1}" for number in range(count))
    specs, plays = [], []
    for host in hosts:
        plays.append(stage.play().does(MEETS.format(hosts=hosts)))
        wanted = {"hosts": hosts, "hostname": host, "labels": {"job": "job"}, **wishes}
        specs.append(stage.spec(plays[-1], **wanted))
    with ThreadPoolExecutor(count) as pool:
        runs = list(pool.map(stage.backend.start, specs))
        told = [line.text for line in pool.map(lambda run: next(run.lines()), runs)]
    # Nobody leaves before all have met.
    for play in plays:
        play.goes_on()
    return runs, [json.loads(text) for text in told]


def job_networks(stage: DockerStage) -> set[str]:
    found = stage.engine.client.networks.list(filters={"label": "sagedock.network"})
    home = containers_home(stage)
    return {
        str(network.name) for network in found if network.attrs["Labels"]["sagedock.home"] == home
    }


def containers_home(stage: DockerStage) -> str:
    owner: str = stage.backend._owner  # type: ignore[attr-defined]
    return owner


@pytest.mark.parametrize("count", [2, 4])
def test_the_hosts_of_a_job_find_each_other_by_name(docker_stage: DockerStage, count: int) -> None:
    runs, told = start(docker_stage, count)
    assert [run.wait(PATIENCE) for run in runs] == [0] * count
    addresses = told[0][0]
    assert len(set(addresses.values())) == count
    for found, interfaces, knew_itself in told:
        assert found == addresses
        assert interfaces == ["eth0", "lo"]
        assert knew_itself


def test_isolated_hosts_find_each_other_too(docker_stage: DockerStage) -> None:
    runs, _ = start(docker_stage, 2, isolated=True)
    assert [run.wait(PATIENCE) for run in runs] == [0, 0]


def test_a_host_that_has_ended_still_has_a_name(docker_stage: DockerStage) -> None:
    """As in the cloud, where it stays until the job ends: who is later need not wait for it."""
    hosts = ("algo-1", "algo-2")
    job = {"hosts": hosts, "labels": {"job": "job"}}
    early = docker_stage.start(docker_stage.play().exits(0), hostname="algo-1", **job)
    late = docker_stage.play().waits().does("import socket; print(socket.gethostbyname('algo-1'))")
    second = docker_stage.start(late, hostname="algo-2", **job)
    assert early.wait(PATIENCE) == 0
    early.close()
    late.goes_on()
    (line,) = second.lines()
    assert ipaddress.ip_address(line.text) in ipaddress.ip_network(JOB_NETWORKS)
    assert second.wait(PATIENCE) == 0


def test_the_network_goes_with_the_last_host(docker_stage: DockerStage) -> None:
    (first, second), _ = start(docker_stage, 2)
    assert [first.wait(PATIENCE), second.wait(PATIENCE)] == [0, 0]
    first.close()
    assert len(job_networks(docker_stage)) == 1
    second.close()
    assert job_networks(docker_stage) == set()


def test_the_network_goes_with_the_last_host_after_a_restart_too(
    docker_stage: DockerStage,
) -> None:
    runs, _ = start(docker_stage, 2)
    successor = docker_stage.restarted()
    found = [successor.find(run.id) for run in runs]
    for run in found:
        assert run is not None
        assert run.wait(PATIENCE) == 0
        run.close()
    assert job_networks(docker_stage) == set()


@pytest.mark.parametrize("isolated", [False, True])
def test_two_jobs_do_not_reach_each_other(docker_stage: DockerStage, isolated: bool) -> None:
    listens = "import socket; d = socket.create_server(('', 5000)); print('open', flush=True)"
    play = docker_stage.play().does(listens).waits()
    wanted = {"ports": (5000,), "isolated": isolated}
    there = docker_stage.start(
        play, hosts=("far-1", "far-2"), hostname="far-1", labels={"job": "there"}, **wanted
    )
    next(there.lines())
    networks = docker_stage.engine.client.api.inspect_container(there.id.partition(";")[2])
    address = next(iter(networks["NetworkSettings"]["Networks"].values()))["IPAddress"]
    tries = f"""
import socket
try: socket.create_connection(({address!r}, 5000), 2); print('reached')
except OSError: print('not reached')
try: socket.gethostbyname('far-1'); print('known')
except OSError: print('unknown')
"""
    here = docker_stage.start(
        docker_stage.play().does(tries), hosts=("algo-1", "algo-2"), hostname="algo-2",
        labels={"job": "here"}, **wanted,
    )  # fmt: skip
    assert [line.text for line in here.lines()] == ["not reached", "unknown"]


def test_a_job_s_network_is_a_small_one_of_ours(docker_stage: DockerStage) -> None:
    start(docker_stage, 2)
    (name,) = job_networks(docker_stage)
    found = docker_stage.engine.client.api.inspect_network(name)["IPAM"]["Config"]
    subnet = ipaddress.ip_network(found[0]["Subnet"])
    assert subnet.prefixlen == 28
    assert subnet.subnet_of(ipaddress.ip_network(JOB_NETWORKS))  # type: ignore[arg-type]
