"""What of a request for GPUs reaches a container, on an engine that has none.

The engine is a private one, with stand-ins for NVIDIA's Container Toolkit: see `private_engine`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

import private_engine
from private_engine import GPUS, IMAGE, PrivateEngine, environment
from sagedock.backends.base import RunSpec
from sagedock.backends.docker.engine import EngineFacts, explanation
from sagedock.backends.docker.engine_gpus import EngineGpus, ask, look
from sagedock.backends.docker.equipment import Equipment, Gpus, Policy
from sagedock.backends.docker.gpu_request import (
    PODMAN,
    TOOLKIT_MISSING,
    WITHOUT_GPUS,
    Way,
    device_requests,
    ways,
    why_not,
)
from sagedock.backends.docker.local_images import find_image
from sagedock.backends.gpus import Discovery, Gpu
from sagedock.domain.images import ImageTable
from sagedock.errors import RunFailedToStart

LABELS = {"sagedock.test": "gpus"}
FIRST, SECOND = (
    Gpu(index, uuid, "NVIDIA Stand-in", (8, 6), 8 * 1024**3) for index, uuid in enumerate(GPUS)
)
PIECE = Gpu(0, "MIG-GPU-5d5b3f2e/9/0", "NVIDIA A100 MIG 1g.5gb", (8, 0), None)

needs_a_private_engine = pytest.mark.skipif(
    bool(private_engine.why_none()), reason=private_engine.why_none() or "there is one"
)
needs_cdi = pytest.mark.skipif(
    bool(private_engine.why_none()) or private_engine.major_version() < 25,
    reason="needs Docker 25 or newer",
)


@pytest.fixture(scope="session")
def with_toolkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    with private_engine.private_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
def engine(with_toolkit: PrivateEngine) -> PrivateEngine:
    with_toolkit.forget()
    return with_toolkit


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    """One without the toolkit."""
    with private_engine.private_engine(tmp_path_factory.mktemp("bare"), toolkit=False) as engine:
        yield engine


def environment_with(engine: PrivateEngine, *gpus: Gpu, way: Way = "nvidia") -> dict[str, str]:
    """What a program in a container with these GPUs finds in its environment."""
    requests = device_requests(gpus, engine.engine.facts, way)
    return environment(engine.run("env", device_requests=requests).splitlines())


def left(engine: PrivateEngine) -> list[Any]:
    """Containers that asking left behind."""
    mine = {"label": "sagedock.test=gpus"}
    return list(engine.engine.client.api.containers(all=True, filters=mine))


# --- what reaches a container ------------------------------------------------------------------


@pytest.mark.docker
@needs_a_private_engine
@pytest.mark.parametrize("gpus", [(FIRST,), (SECOND,), (FIRST, SECOND), (PIECE,)])
def test_a_container_gets_exactly_the_gpus_of_its_run(
    engine: PrivateEngine, gpus: tuple[Gpu, ...]
) -> None:
    found = environment_with(engine, *gpus)
    named = ",".join(gpu.uuid for gpu in gpus)
    assert found["NVIDIA_VISIBLE_DEVICES"] == named, "over what the image says itself"
    assert found["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    seen = engine.environment_seen(by="hook")
    assert seen is not None
    assert seen["NVIDIA_VISIBLE_DEVICES"] == named


@pytest.mark.docker
@needs_a_private_engine
def test_a_run_without_gpus_asks_for_none(engine: PrivateEngine) -> None:
    assert "NVIDIA_DRIVER_CAPABILITIES" not in environment_with(engine)
    assert engine.environment_seen(by="hook") is None


@pytest.mark.docker
@needs_a_private_engine
def test_a_run_without_gpus_gets_none_from_nvidia_s_runtime_either(engine: PrivateEngine) -> None:
    engine.run("env", runtime="nvidia", environment=dict(WITHOUT_GPUS))
    seen = engine.environment_seen(by="runtime")
    assert seen is not None
    assert seen["NVIDIA_VISIBLE_DEVICES"] == "void"


@pytest.mark.docker
@needs_cdi
def test_by_cdi_a_container_gets_the_device_of_that_name(engine: PrivateEngine) -> None:
    found = environment_with(engine, SECOND, way="cdi")
    assert found["STAND_IN_1"] == "1"
    assert "STAND_IN_0" not in found


@pytest.mark.docker
@needs_cdi
def test_a_gpu_that_the_cdi_specification_lacks_is_told_with_the_way_out(
    engine: PrivateEngine,
) -> None:
    with pytest.raises(APIError) as caught:
        environment_with(engine, PIECE, way="cdi")
    assert "sudo nvidia-ctk cdi generate" in str(why_not(explanation(caught.value)))


# --- what an engine has ------------------------------------------------------------------------


@pytest.mark.docker
@needs_a_private_engine
def test_the_gpus_of_an_engine_are_found_by_asking_it(engine: PrivateEngine) -> None:
    assert ask(engine.engine, IMAGE, LABELS) == EngineGpus((FIRST, SECOND), "nvidia")
    assert left(engine) == []


@pytest.mark.docker
@needs_cdi
def test_an_engine_that_has_gpus_only_by_cdi_is_asked_that_way(bare: PrivateEngine) -> None:
    bare.know_gpus_by_cdi()
    found = ask(bare.engine, IMAGE, LABELS)
    bare.specification.unlink()
    assert (found.way, found.gpus) == ("cdi", (FIRST, SECOND))


@pytest.mark.docker
@needs_a_private_engine
def test_an_engine_without_the_toolkit_has_none_and_says_how_to_get_it(
    bare: PrivateEngine,
) -> None:
    assert ask(bare.engine, IMAGE, LABELS) == EngineGpus(trouble=TOOLKIT_MISSING)
    assert left(bare) == []


@pytest.mark.docker
@needs_a_private_engine
def test_a_toolkit_whose_driver_does_not_answer_is_no_gpu_and_its_own_words(
    engine: PrivateEngine,
) -> None:
    (engine.seen / "no-driver").touch()
    found = ask(engine.engine, IMAGE, LABELS)
    assert found.gpus == ()
    assert "driver not loaded" in found.trouble
    assert "`nvidia-smi`" in found.trouble


@pytest.mark.docker
@needs_a_private_engine
def test_an_image_that_is_not_there_cannot_ask(engine: PrivateEngine) -> None:
    with pytest.raises(ImageNotFound):
        ask(engine.engine, "sagedock-test/absent:1", LABELS)


@pytest.mark.docker
@needs_a_private_engine
def test_a_machine_that_found_no_gpu_starts_no_container(bare: PrivateEngine) -> None:
    """The engine is not even asked: where it is, there is no GPU to hand on."""
    here = Discovery(trouble="No devices were found")
    found = look(bare.engine, IMAGE, here, elsewhere=False, labels=LABELS)
    assert found == EngineGpus(trouble="No devices were found")


@pytest.mark.docker
@needs_a_private_engine
def test_the_engine_has_the_last_word(engine: PrivateEngine, bare: PrivateEngine) -> None:
    here = Discovery((PIECE,))
    assert look(engine.engine, IMAGE, here, elsewhere=False, labels=LABELS).gpus == (FIRST, SECOND)
    assert look(bare.engine, IMAGE, here, elsewhere=False, labels=LABELS).gpus == ()
    elsewhere = look(engine.engine, IMAGE, Discovery(), elsewhere=True, labels=LABELS)
    assert elsewhere.gpus == (FIRST, SECOND)


@pytest.mark.docker
@needs_a_private_engine
@pytest.mark.parametrize("image", [None, "sagedock-test/absent:1"])
def test_without_an_image_to_ask_with_the_driver_here_is_believed(
    engine: PrivateEngine, image: str | None
) -> None:
    found = look(engine.engine, image, Discovery((PIECE,)), elsewhere=False, labels=LABELS)
    assert found.gpus == (PIECE,)


# --- without an engine -------------------------------------------------------------------------

DOCKER = EngineFacts(
    version="20.10.24",
    api=(1, 41),
    architecture="amd64",
    operating_system="Debian",
    cpus=2,
    memory_bytes=8 * 1024**3,
    runtimes=frozenset({"runc"}),
    cdi_folders=(),
    is_podman=False,
    is_rootless=False,
)


def test_a_request_names_gpus_and_never_a_count() -> None:
    (request,) = device_requests([FIRST, SECOND], DOCKER)
    assert request["DeviceIDs"] == list(GPUS)
    assert request["Count"] == 0
    assert request["Capabilities"] == [["gpu", "compute", "utility"]]


def test_no_gpu_is_no_request() -> None:
    assert device_requests([], DOCKER) == []
    assert device_requests([], dataclasses.replace(DOCKER, is_podman=True)) == []


def test_podman_is_refused_since_it_would_drop_the_request() -> None:
    podman = dataclasses.replace(DOCKER, is_podman=True)
    with pytest.raises(RunFailedToStart) as caught:
        device_requests([FIRST], podman)
    assert str(caught.value) == f"{PODMAN}."
    assert ways(podman) == ()


def test_cdi_is_tried_where_the_engine_reads_specifications() -> None:
    assert ways(DOCKER) == ("nvidia",)
    assert ways(dataclasses.replace(DOCKER, cdi_folders=("/etc/cdi",))) == ("nvidia", "cdi")


# --- what the backend makes of it --------------------------------------------------------------

OWN, FOR_HOPPER = "my-algorithm:1", "my-algorithm:hopper"


def equipment(engine: PrivateEngine, **policy: Any) -> Equipment:
    return Equipment(engine.engine, ImageTable.builtin(), Policy(**policy), "test", True)


def given(
    equipment: Equipment, engine: PrivateEngine, job: str, instance: str, name: str = OWN
) -> Gpus:
    """What the only run of a training job gets. OWN holds code for the GPUs there are."""
    image = find_image(engine.engine, name)
    if image is None:
        code = "sm_90" if name == FOR_HOPPER else "sm_70 sm_80"
        engine.make_image(name, f'LABEL sagedock.gpu.architectures="{code}"')
        image = find_image(engine.engine, name)
    assert image is not None
    spec = RunSpec(
        name=f"{job}-algo-1",
        image=name,
        command=("train",),
        workdir=Path("/nowhere"),
        instance_type=instance,
        labels={"job": job},
    )
    return equipment.take_gpus(spec, image)


@pytest.mark.docker
@needs_a_private_engine
@pytest.mark.parametrize(("instance", "count"), [("ml.p3.2xlarge", 1), ("ml.p3.16xlarge", 2)])
def test_a_run_gets_the_gpus_of_its_instance_type_and_its_container_sees_them(
    engine: PrivateEngine, instance: str, count: int
) -> None:
    gpus = given(equipment(engine), engine, "first", instance)
    assert gpus.uuids == GPUS[:count]
    found = engine.run("env", device_requests=list(gpus.requests), environment=dict(gpus.env))
    seen = environment(found.splitlines())["NVIDIA_VISIBLE_DEVICES"]
    assert seen == ",".join(GPUS[:count])


@pytest.mark.docker
@needs_a_private_engine
def test_a_run_on_a_cpu_instance_sees_none_though_its_image_says_all(
    engine: PrivateEngine,
) -> None:
    gpus = given(equipment(engine), engine, "first", "ml.m5.xlarge")
    assert (gpus.uuids, gpus.requests) == ((), ())
    found = engine.run("env", environment=dict(gpus.env))
    assert environment(found.splitlines())["NVIDIA_VISIBLE_DEVICES"] == "void"


@pytest.mark.docker
@needs_a_private_engine
def test_an_image_without_code_for_the_gpu_is_refused_before_its_start(
    engine: PrivateEngine,
) -> None:
    with pytest.raises(RunFailedToStart) as caught:
        given(equipment(engine), engine, "first", "ml.p3.2xlarge", FOR_HOPPER)
    assert str(caught.value).startswith(
        f"{FOR_HOPPER} has GPU code for sm_90; the NVIDIA Stand-in needs sm_86. Run it on a CPU"
    )


@pytest.mark.docker
@needs_a_private_engine
def test_two_jobs_never_get_the_same_gpu_unless_sharing_is_set(engine: PrivateEngine) -> None:
    apart = equipment(engine)
    assert given(apart, engine, "first", "ml.p3.16xlarge").uuids == GPUS
    with pytest.raises(RunFailedToStart, match="All 2 GPUs are used by training job first: wait"):
        given(apart, engine, "second", "ml.p3.2xlarge")
    apart.give_back("first-algo-1")
    assert given(apart, engine, "second", "ml.p3.2xlarge").uuids == GPUS[:1]
    together = equipment(engine, gpu_sharing=True)
    assert given(together, engine, "first", "ml.p3.16xlarge").uuids == GPUS
    assert given(together, engine, "second", "ml.p3.16xlarge").uuids == GPUS


@pytest.mark.docker
@needs_a_private_engine
def test_a_run_that_was_started_before_us_keeps_its_gpu(engine: PrivateEngine) -> None:
    told = {"sagedock.run": "old-algo-1", "sagedock.gpus": GPUS[0], "sagedock.job": "old"}
    after_a_restart = equipment(engine)
    after_a_restart.hold_gpus({"Config": {"Labels": told}})
    assert given(after_a_restart, engine, "first", "ml.p3.2xlarge").uuids == GPUS[1:]
    with pytest.raises(RunFailedToStart, match="used by training job old and training job first"):
        given(after_a_restart, engine, "second", "ml.p3.2xlarge")


@pytest.mark.docker
@needs_a_private_engine
def test_an_engine_without_the_toolkit_runs_on_the_cpu_or_fails_when_strict(
    bare: PrivateEngine,
) -> None:
    assert given(equipment(bare), bare, "first", "ml.p3.2xlarge") == Gpus(env=WITHOUT_GPUS)
    warning = equipment(bare).plan(OWN, "ml.p3.2xlarge").warning
    assert warning is not None
    assert f"no GPU was found here ({TOOLKIT_MISSING}): this runs on the CPU" in warning
    with pytest.raises(RunFailedToStart, match="leave SAGEDOCK_GPU=strict away"):
        given(equipment(bare, gpu="strict"), bare, "first", "ml.p3.2xlarge")


# --- what doctor says of it --------------------------------------------------------------------


def doctor(home: Path, engine: PrivateEngine, **env: str) -> dict[str, dict[str, str]]:
    """Its findings by subject, from a process that sees no driver but what is on its PATH."""
    environment = {
        **os.environ,
        "SAGEDOCK_HOME": str(home),
        "DOCKER_HOST": engine.engine.address,
        **env,
    }
    call = [sys.executable, "-m", "sagedock", "doctor", "--json"]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=False)
    return {found["subject"]: found for found in json.loads(done.stdout)}


@pytest.fixture
def driver(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine whose driver says that there is an H100."""
    if any(Path("/dev").glob("nvidia*")):
        pytest.skip("this machine has a driver of its own")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho '0, GPU-1-2, NVIDIA H100, 9.0, 81559 MiB'\n")
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.docker
@needs_a_private_engine
def test_doctor_says_what_containers_get_and_whether_mxnet_has_code_for_it(
    engine: PrivateEngine, tmp_path: Path, driver: dict[str, str]
) -> None:
    engine.make_image("sagedock/mxnet:1.9.1-gpu", 'LABEL sagedock.gpu.architectures="sm_80 sm_86"')
    found = doctor(tmp_path, engine, **driver)
    assert found["engine"]["told"].startswith(str(engine.engine.facts))
    assert found["gpu 0"]["told"] == "NVIDIA H100 (sm_90), 79.6 GiB, GPU-1-2"
    said = "NVIDIA Stand-in (sm_86), NVIDIA Stand-in (sm_86)"
    assert found["gpu in containers"]["told"] == f"2 by nvidia: {said}"
    assert found["gpu code"]["told"] == f"sagedock/mxnet:1.9.1-gpu has code for {said}"


@pytest.mark.docker
@needs_a_private_engine
def test_doctor_says_that_mxnet_has_no_code_for_a_gpu(
    bare: PrivateEngine, tmp_path: Path, driver: dict[str, str]
) -> None:
    """There is no image to ask with yet, so the driver here is believed."""
    found = doctor(tmp_path, bare, **driver)["gpu code"]
    assert found["state"] == "note"
    assert (
        "(not built yet) has GPU code for sm_50, 60, 70, 80, 86; the NVIDIA H100" in found["told"]
    )


@pytest.mark.docker
@needs_a_private_engine
@pytest.mark.parametrize(("mode", "state"), [("auto", "note"), ("strict", "bad")])
def test_doctor_says_how_to_get_a_missing_toolkit(
    bare: PrivateEngine, tmp_path: Path, driver: dict[str, str], mode: str, state: str
) -> None:
    bare.make_image("sagedock/mxnet:1.9.1-cpu")
    found = doctor(tmp_path, bare, **driver, SAGEDOCK_GPU=mode)["gpu"]
    bare.engine.client.images.remove("sagedock/mxnet:1.9.1-cpu")
    assert (found["state"], found["told"]) == (state, TOOLKIT_MISSING)
    assert found["mend"].startswith("Install the package nvidia-container-toolkit")
    assert "sudo nvidia-ctk runtime configure --runtime=docker" in found["mend"]
