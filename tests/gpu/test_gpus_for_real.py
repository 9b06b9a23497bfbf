"""What only a machine with an NVIDIA GPU can tell: `pytest -m gpu`.

The driver alone is enough for the first tests. The others need a Docker engine with NVIDIA's
Container Toolkit and an image with MXNet for CUDA (`sagedock images build mxnet-cuda`, or another
one named by SAGEDOCK_TEST_GPU_IMAGE). Whatever the card is: where MXNet has code for it a step is
trained, where it has none the refusal is checked against what really happens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from docker.errors import APIError

from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.engine_gpus import EngineGpus, ask
from sagedock.backends.docker.gpu_request import WITHOUT_GPUS, device_requests
from sagedock.backends.docker.local_images import find_image
from sagedock.backends.gpu_rules import MXNET_WHEEL_ARCHITECTURES, can_use, refusal
from sagedock.backends.gpus import Gpu, by_nvidia_smi, by_nvml, discover
from sagedock.errors import EngineUnavailable

# Read at import: before a test starts, the variables of sagedock's are taken away.
IMAGE = os.environ.get("SAGEDOCK_TEST_GPU_IMAGE", "sagedock/mxnet:1.9.1-gpu")
LABELS = {"sagedock.test": "gpu"}

STEP = """
import mxnet as mx
from mxnet import autograd, gluon

device = mx.gpu(0)
net = gluon.nn.HybridSequential()
net.add(gluon.nn.Conv2D(8, 3), gluon.nn.BatchNorm(), gluon.nn.Activation("relu"))
net.add(gluon.nn.Dense(10))
net.initialize(mx.init.Xavier(), ctx=device)
net.hybridize()
loss = gluon.loss.SoftmaxCrossEntropyLoss()
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})
data = mx.nd.random.uniform(shape=(32, 3, 16, 16), ctx=device)
labels = mx.nd.arange(32, ctx=device) % 10
losses = []
for _ in range(20):
    with autograd.record():
        value = loss(net(data), labels)
    value.backward()
    trainer.step(32)
    losses.append(float(value.mean().asscalar()))
assert losses[-1] < losses[0], losses
print("trained on", mx.context.num_gpus(), "GPU")
"""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs an NVIDIA GPU"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        engine = Engine.connect()
    except EngineUnavailable as error:
        pytest.skip(str(error))
    if find_image(engine, IMAGE) is None:
        engine.close()
        pytest.skip(f"needs the image {IMAGE}")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def found(engine: Engine) -> EngineGpus:
    found = ask(engine, IMAGE, LABELS)
    assert found.gpus, found.trouble
    return found


@pytest.fixture(scope="module")
def architectures(engine: Engine) -> tuple[str, ...]:
    image = find_image(engine, IMAGE)
    return (image and image.gpu_architectures) or MXNET_WHEEL_ARCHITECTURES


def run(engine: Engine, found: EngineGpus, gpus: tuple[Gpu, ...], *command: str) -> tuple[int, str]:
    """Exit code and output of a command in a container with these GPUs."""
    container = engine.client.containers.create(
        IMAGE,
        entrypoint=list(command),
        device_requests=device_requests(gpus, engine.facts, found.way),
        environment={} if gpus else dict(WITHOUT_GPUS),
        network_mode="none",
        shm_size="1g",
        labels=LABELS,
    )
    try:
        container.start()
        code = container.wait(timeout=600)["StatusCode"]
        return code, container.logs().decode(errors="replace")
    finally:
        container.remove(force=True, v=True)


# --- the driver alone --------------------------------------------------------------------------


def test_the_driver_tells_at_least_one_gpu_with_all_that_is_asked() -> None:
    found = discover()
    assert found.gpus, found.trouble
    for gpu in found.gpus:
        assert gpu.uuid.startswith(("GPU-", "MIG-"))
        assert gpu.name
        assert gpu.compute_capability is not None


def test_nvml_and_nvidia_smi_tell_the_same() -> None:
    by_library = by_nvml()
    assert by_library is not None, "the driver's library cannot be loaded"
    by_program = by_nvidia_smi()
    assert [gpu.uuid for gpu in by_library.gpus] == [gpu.uuid for gpu in by_program.gpus]
    assert [gpu.architecture for gpu in by_library.gpus] == [
        gpu.architecture for gpu in by_program.gpus
    ]


# --- through the engine ------------------------------------------------------------------------


def test_the_engine_has_the_gpus_that_the_driver_tells(engine: Engine, found: EngineGpus) -> None:
    if engine.is_remote:
        pytest.skip("the engine is on another machine")
    assert {gpu.uuid for gpu in found.gpus} == {gpu.uuid for gpu in discover().gpus}


def test_a_container_sees_exactly_the_gpu_it_was_given(engine: Engine, found: EngineGpus) -> None:
    for gpu in found.gpus:
        code, printed = run(engine, found, (gpu,), "nvidia-smi", "-L")
        assert code == 0, printed
        seen = [line for line in printed.splitlines() if "UUID:" in line and "MIG-" not in line]
        assert len(seen) == 1, printed
        assert gpu.uuid in printed


def test_a_container_without_gpus_sees_none(engine: Engine, found: EngineGpus) -> None:
    code, printed = run(engine, found, (), "sh", "-c", "ls /dev | grep nvidia; true")
    assert (code, printed) == (0, "")


def test_a_gpu_that_is_not_there_is_refused_by_the_engine(
    engine: Engine, found: EngineGpus
) -> None:
    absent = Gpu(99, "GPU-00000000-0000-0000-0000-000000000000", "absent", None, None)
    with pytest.raises(APIError):
        run(engine, found, (absent,), "true")


def test_a_card_that_mxnet_has_code_for_trains(
    engine: Engine, found: EngineGpus, architectures: tuple[str, ...]
) -> None:
    usable = can_use(found.gpus, architectures)
    if not usable:
        pytest.skip(str(refusal(found.gpus, architectures, IMAGE)))
    code, printed = run(engine, found, usable[:1], "python", "-c", STEP)
    assert code == 0, printed
    assert "trained on 1 GPU" in printed


def test_a_card_that_mxnet_has_no_code_for_is_refused_and_rightly_so(
    engine: Engine, found: EngineGpus, architectures: tuple[str, ...]
) -> None:
    usable = can_use(found.gpus, architectures)
    wrong = tuple(gpu for gpu in found.gpus if gpu not in usable)
    if not wrong:
        pytest.skip(f"MXNet has code for {', '.join(map(str, usable))}")
    said = refusal(wrong[:1], architectures, IMAGE)
    assert said is not None
    assert f"the {wrong[0].name} needs {wrong[0].architecture}" in said
    code, printed = run(engine, found, wrong[:1], "python", "-c", STEP)
    assert code != 0, "it trains: the refusal would be wrong"
    assert "no kernel image is available" in printed
