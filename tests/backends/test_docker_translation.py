"""What the engine is asked for, in its own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sagedock.backends.base import RunSpec
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.equipment import Gpus
from sagedock.backends.docker.local_images import LocalImage, find_image
from sagedock.backends.docker.surroundings import Neighbourhood
from sagedock.backends.docker.translation import Placement, Sizes, create_options

OURS = LocalImage(
    name="sagedock/mxnet:1.9.1-cpu",
    id="sha256:1",
    architecture="amd64",
    family="mxnet",
    entrypoint=(),
    path="/opt/venv/bin:/usr/bin",
    workdir="/",
    gpu_architectures=(),
)


def asked(place: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "name": "job-algo-1-abc",
        "image": "sagedock/mxnet",
        "command": ("train",),
        "workdir": Path("/home/me/.sagedock/jobs/job/algo-1"),
        **spec,
    }
    standard: dict[str, Any] = {
        "image": OURS,
        "home": "0123456789ab",
        "near": Neighbourhood("172.17.0.1"),
        "sizes": Sizes(),
        "user": "1000:1000",
    }
    return create_options(RunSpec(**wanted), Placement(**{**standard, **(place or {})}))


def test_an_image_of_ours_is_run_as_the_emulators_user_without_a_capability() -> None:
    options = asked()
    assert options["user"] == "1000:1000"
    assert options["cap_drop"] == ["ALL"]
    assert options["security_opt"] == ["no-new-privileges"]
    assert "privileged" not in options
    assert "cap_add" not in options


def test_another_image_keeps_its_own_user_and_loses_what_no_job_needs() -> None:
    options = asked({"user": None, "owner": "1000:1000"})
    assert "user" not in options
    assert {"NET_RAW", "MKNOD", "SYS_CHROOT"} <= set(options["cap_drop"])
    assert options["labels"]["sagedock.owner"] == "1000:1000"


def test_memory_is_limited_without_swap_on_top() -> None:
    options = asked({"sizes": Sizes(memory=2**30, cpus=1.5, shared_memory=2**29)})
    assert options["mem_limit"] == options["memswap_limit"] == 2**30
    assert options["nano_cpus"] == 1_500_000_000
    assert options["shm_size"] == 2**29


def test_an_entry_point_of_the_request_replaces_the_images_and_its_command() -> None:
    alone = asked(entrypoint=("python3", "a.py"))
    assert (alone["entrypoint"], alone.get("command")) == (["python3", "a.py"], None)
    both = asked(entrypoint=("python3",), arguments=("-c", "1"))
    assert (both["entrypoint"], both["command"]) == (["python3"], ["-c", "1"])
    assert asked(arguments=("other",))["command"] == ["other"]


def test_behind_a_gate_the_command_waits_for_a_line_and_cannot_read_another() -> None:
    options = asked({"has_gate": True})
    assert options["stdin_open"] is True
    assert options["entrypoint"] == ["/bin/sh"]
    assert options["command"][-1] == "train"
    assert "</dev/null" in options["command"][1]


def test_ports_are_published_on_loopback_where_containers_have_no_address_for_us() -> None:
    assert "ports" not in asked(ports=(8080,))
    desktop = {"near": Neighbourhood("host.docker.internal", publishes="127.0.0.1")}
    options = asked(desktop, ports=(8080,))
    assert options["ports"] == {"8080/tcp": ("127.0.0.1", None)}
    assert options["extra_hosts"] == {"host.docker.internal": "host-gateway"}


def test_nothing_of_aws_or_of_the_emulator_is_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:3141/simple")
    environment = asked(env={"MINE": "1"})["environment"]
    assert environment["MINE"] == "1"
    assert environment["PIP_INDEX_URL"] == "https://packages.example/simple"
    assert "PIP_EXTRA_INDEX_URL" not in environment, "an address of this machine leads nowhere"
    assert not [name for name in environment if name.startswith("AWS_")]


@pytest.mark.docker
def test_kernels_that_cuda_compiles_outlive_the_container(engine: Engine, tmp_path: Path) -> None:
    backend = DockerBackend(engine, tmp_path)
    found = find_image(engine, "python:3.11-slim-bookworm")
    assert found is not None
    image = LocalImage(**{**{f: getattr(OURS, f) for f in OURS.__slots__}, "id": found.id})
    spec = RunSpec("run", "sagedock/mxnet", ("train",), tmp_path)
    place = backend._place(spec, image, None, Gpus(uuids=("GPU-1",)), False)
    mounts = {mount["Target"]: mount["Source"] for mount in place.mounts}
    assert mounts["/var/cache/cuda"] == str(tmp_path / "cuda-cache")


def test_an_init_is_process_1_unless_the_command_is_to_be() -> None:
    assert asked()["init"] is True
    assert asked(is_first=True)["init"] is False
