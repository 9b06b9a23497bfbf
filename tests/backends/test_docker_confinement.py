"""What a container may not, and what of the engine is not ours."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.types import IPAMConfig, IPAMPool

from backends.byo import containers_of
from backends.stages import DockerStage
from requests_as_sdks_send import PATIENCE
from sagedock.backends.base import Run
from sagedock.backends.docker import translation
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.equipment import Policy

pytestmark = pytest.mark.docker

LOOKS = """
import json, resource, socket
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())
def limit(name): return resource.getrlimit(getattr(resource, name))
shm = os.statvfs('/dev/shm')
print(json.dumps({
    'no_new_privileges': status['NoNewPrivs'],
    'capabilities': int(status['CapBnd'], 16),
    'devices': sorted(os.listdir('/dev')),
    'socket': os.path.exists('/var/run/docker.sock'),
    'init': open('/proc/1/comm').read().strip(),
    'open_files': limit('RLIMIT_NOFILE'),
    'locked': limit('RLIMIT_MEMLOCK'),
    'shm': shm.f_blocks * shm.f_frsize,
    'host': socket.gethostname(),
    'own_address': socket.gethostbyname(socket.gethostname()),
    'interfaces': sorted(os.listdir('/sys/class/net')),
}))
"""
DROPPED = {"SETPCAP": 8, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29}
NEVER = {"NET_ADMIN": 12, "SYS_MODULE": 16, "SYS_PTRACE": 19, "SYS_ADMIN": 21, "SYS_TIME": 25}
DEVICES = {
    *("console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm"),
    *("stderr", "stdin", "stdout", "tty", "urandom", "zero"),
}
TRIES = """
import socket
for host, port in {targets!r}:
    try:
        socket.create_connection((host, port), 2).close()
        print(host, 'reached', flush=True)
    except OSError as error:
        print(host, 'not reached', flush=True)
"""


def seen(stage: DockerStage, **wishes: Any) -> dict[str, Any]:
    """What a program in a container of these wishes sees of itself."""
    run = stage.start(stage.play().does(LOOKS), **wishes)
    told: dict[str, Any] = json.loads("".join(line.text for line in run.lines()))
    return told


def has(capabilities: int, number: int) -> bool:
    return bool(capabilities >> number & 1)


@pytest.fixture
def listener() -> Iterator[int]:
    """A port of this machine, on all of its addresses."""
    with socket.create_server(("0.0.0.0", 0)) as listening:
        yield listening.getsockname()[1]


def test_user_code_gets_no_socket_no_privileges_and_no_device(docker_stage: DockerStage) -> None:
    told = seen(docker_stage)
    assert told["socket"] is False
    assert told["no_new_privileges"] == "1"
    assert set(told["devices"]) <= DEVICES
    held = {
        name for name, number in {**DROPPED, **NEVER}.items() if has(told["capabilities"], number)
    }
    assert held == set()
    assert told["init"] != "python3", "signals and orphans are an init's business"


def test_a_training_container_has_the_limits_of_the_service(docker_stage: DockerStage) -> None:
    told = seen(docker_stage)
    assert told["shm"] >= docker_stage.engine.facts.memory_bytes // 2 - 2**20
    assert isinstance(docker_stage.backend, DockerBackend)
    if not docker_stage.backend._raises_limits:
        pytest.skip("this engine may not raise limits: runs have its own")
    assert told["open_files"] == [65536, 65536]
    assert told["locked"] == [-1, -1]


def test_the_engine_is_asked_for_these_limits_also_where_it_refuses_them(
    docker_stage: DockerStage,
) -> None:
    backend, spec = docker_stage.backend, docker_stage.spec(docker_stage.play())
    assert isinstance(backend, DockerBackend)
    begun = backend._begin(spec, has_gate=False)
    try:
        told = docker_stage.engine.client.api.inspect_container(begun.container)["HostConfig"]
    finally:
        backend._undo(begun.container, begun.place.network, spec.name)
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in told["Ulimits"]}
    assert limits == {"nofile": (65536, 65536), "memlock": (-1, -1)}


def test_an_engine_that_refuses_to_raise_limits_runs_with_its_own(
    docker_stage: DockerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation, "_NOFILE", 2**40)  # no kernel gives so many
    for number in ("1", "2"):
        run = docker_stage.start(docker_stage.play().prints(number))
        assert [line.text for line in run.lines()] == [number]
    assert isinstance(docker_stage.backend, DockerBackend)
    assert not docker_stage.backend._raises_limits
    assert len(containers_of(docker_stage)) == 2, "the refused one is gone"


def test_a_model_server_has_64_mib_of_shared_memory(docker_stage: DockerStage) -> None:
    assert seen(docker_stage, command=("serve",))["shm"] == 64 * 2**20


def test_a_container_has_the_memory_of_its_instance_type_and_all_processors(
    docker_stage: DockerStage,
) -> None:
    run = docker_stage.start(docker_stage.play().waits(), instance_type="ml.m5.large")
    told = host_config(docker_stage, run)
    assert (told["Memory"], told["MemorySwap"]) == (8 * 2**30, 8 * 2**30)
    assert told["NanoCpus"] == 0


def test_in_full_size_it_has_no_more_processors_than_there_are(
    docker_stage: DockerStage, engine: Engine, tmp_path: Path
) -> None:
    docker_stage.backend = DockerBackend(engine, tmp_path, policy=Policy(instance_size="full"))
    run = docker_stage.start(docker_stage.play().waits(), instance_type="ml.m5.24xlarge")
    told = host_config(docker_stage, run)
    assert told["NanoCpus"] == engine.facts.cpus * 10**9
    assert told["Memory"] == 0, "more than the machine has is no limit"


def host_config(stage: DockerStage, run: Run) -> dict[str, Any]:
    inspected = stage.engine.client.api.inspect_container(run.id.partition(";")[2])
    found: dict[str, Any] = inspected["HostConfig"]
    return found


# --- isolation ---------------------------------------------------------------------------------


def test_an_isolated_run_has_no_way_out_and_knows_its_own_name(
    docker_stage: DockerStage, listener: int
) -> None:
    told = seen(docker_stage, isolated=True)
    assert told["interfaces"] == ["lo"]
    assert (told["host"], told["own_address"]) == ("algo-1", "127.0.0.1")
    targets = [(docker_stage.backend.host_address(), listener), ("192.0.2.1", 53)]
    run = docker_stage.start(docker_stage.play().does(TRIES.format(targets=targets)), isolated=True)
    assert [line.text.partition(" ")[2] for line in run.lines()] == ["not reached"] * 2


def test_a_run_that_is_not_isolated_reaches_the_emulator_s_address(
    docker_stage: DockerStage, listener: int
) -> None:
    target = (docker_stage.backend.host_address(), listener)
    run = docker_stage.start(docker_stage.play().does(TRIES.format(targets=[target])))
    assert [line.text for line in run.lines()] == [f"{target[0]} reached"]


# --- nothing else is touched -------------------------------------------------------------------


def test_cleaning_leaves_what_others_have_on_the_engine(
    docker_stage: DockerStage, engine: Engine, tmp_path: Path
) -> None:
    foreign = engine.client.containers.create(
        docker_stage.image, ["true"], labels={"sagedock.run": "not-of-a-home"}
    )
    subnet = f"10.214.{os.getpid() // 16 % 256}.{os.getpid() % 16 * 16}/28"
    network = engine.client.networks.create(
        f"sagedock-test-{os.getpid()}", labels={"sagedock.network": "x"}, ipam=pool(subnet)
    )
    neighbour = DockerStage(tmp_path / "neighbour", DockerBackend(engine, tmp_path / "neighbour"))
    neighbour.engine = engine
    theirs = neighbour.start(neighbour.play().prints("theirs").waits())
    next(theirs.lines())
    try:
        docker_stage.backend.clean(frozenset())
        foreign.reload()
        network.reload()
        assert theirs.wait(0) is None
    finally:
        neighbour.backend.clean(frozenset())
        foreign.remove()
        network.remove()


def pool(subnet: str) -> IPAMConfig:
    return IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])


def test_what_a_killed_emulator_left_is_found_by_label_and_removed(
    docker_stage: DockerStage, engine: Engine
) -> None:
    docker_stage.start(docker_stage.play().waits())
    docker_stage.start(docker_stage.play().exits(1)).wait(PATIENCE)
    hosts = ("algo-1", "algo-2")
    docker_stage.start(docker_stage.play().waits(), hosts=hosts, labels={"job": "two"})
    assert len(containers_of(docker_stage)) == 3
    successor = DockerBackend(engine, docker_stage.folder)
    assert networks(docker_stage) != []
    successor.clean(frozenset())
    assert containers_of(docker_stage) == []
    assert networks(docker_stage) == []


def networks(stage: DockerStage) -> list[str]:
    backend = stage.backend
    assert isinstance(backend, DockerBackend)
    of_this_home = {"label": f"sagedock.home={backend._owner}"}
    return [str(found.name) for found in stage.engine.client.networks.list(filters=of_this_home)]
