"""Default handlers with real MXNet models, run by the Python of SAGEDOCK_TEST_MXNET_PYTHON."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy
import pytest

from .conftest import EARLY, LEGACY, MODERN, PATIENCE, Reply, Served, World

pytestmark = pytest.mark.mxnet

CSV = {"Content-Type": "text/csv", "Accept": "text/csv"}
NPY = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}

SAVE_MODULE = """
import json, sys
import mxnet as mx
data = mx.sym.Variable("data")
net = mx.sym.FullyConnected(data, num_hidden=1, name="fc")
module = mx.mod.Module(net, data_names=["data"], label_names=None)
module.bind(data_shapes=[("data", (100, 2))], for_training=False)
module.init_params()
module.set_params({"fc_weight": mx.nd.array([[1, 2]]), "fc_bias": mx.nd.array([0.5])}, {})
module.symbol.save("model-symbol.json")
module.save_params("model-0000.params")
json.dump([{"name": "data", "shape": [100, 2]}], open("model-shapes.json", "w"))
"""
"""y = a + 2 b + 0.5, as the default save of training writes it, trained with a batch of 100."""

SUM_BLOCK = """
from mxnet import gluon

class Twice(gluon.Block):
    def forward(self, x):
        return x * 2

def model_fn(model_dir):
    return Twice()
"""

BATCH_OF_THREE = """
import mxnet as mx

def model_fn(model_dir):
    symbol, arguments, auxiliary = mx.model.load_checkpoint(model_dir + "/model", 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
    module.bind(for_training=False, data_shapes=[("data", (3, 2))])
    module.set_params(arguments, auxiliary)
    return module
"""


@pytest.fixture(scope="module")
def saved_module(tmp_path_factory: pytest.TempPathFactory, mxnet_python: str) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("saved")
    subprocess.run([mxnet_python, "-c", SAVE_MODULE], cwd=folder, check=True)
    return {"model/" + path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="module", params=[LEGACY, EARLY, MODERN])
def default_module(
    request: pytest.FixtureRequest,
    shared_world: World, mxnet_python: str, saved_module: dict[str, bytes],
) -> Served:  # fmt: skip
    """An empty script: everything by default."""
    return shared_world.serve("", request.param, python=mxnet_python, files=saved_module)


@pytest.fixture(scope="module", params=[LEGACY, EARLY, MODERN])
def block(request: pytest.FixtureRequest, shared_world: World, mxnet_python: str) -> Served:
    """A Gluon block, and a script with nothing but its model_fn."""
    return shared_world.serve(SUM_BLOCK, request.param, python=mxnet_python)


@pytest.fixture(scope="module")
def modern_block(shared_world: World, mxnet_python: str) -> Served:
    return shared_world.serve(SUM_BLOCK, MODERN, python=mxnet_python)


@pytest.fixture(scope="module", params=[LEGACY, MODERN])
def batch_of_three(
    request: pytest.FixtureRequest,
    shared_world: World, mxnet_python: str, saved_module: dict[str, bytes],
) -> tuple[str, Served]:  # fmt: skip
    served = shared_world.serve(
        BATCH_OF_THREE, request.param, python=mxnet_python, files=saved_module
    )
    return request.param, served


def rows(count: int) -> list[list[int]]:
    return [[number, 0] for number in range(count)]


def test_the_default_module_answers_json_with_one_element_per_row(default_module: Served) -> None:
    assert default_module.invoke([[1, 2]]).json == [[5.5]]
    assert default_module.invoke(rows(3)).json == [[0.5], [1.5], [2.5]]


def test_the_default_module_reads_and_writes_csv(default_module: Served) -> None:
    reply = default_module.invoke("1,2\n", CSV)

    assert reply.status == 200
    assert reply.body.strip() == b"5.5"
    assert (reply.content_type or "").startswith("text/csv")


def test_a_block_answers_json(block: Served) -> None:
    assert block.invoke([[1, 2], [3, 4]]).json == [[2.0, 4.0], [6.0, 8.0]]


def test_a_block_takes_npy_and_answers_it_as_float64(modern_block: Served) -> None:
    body = io.BytesIO()
    numpy.save(body, numpy.array([[1, 2]], dtype="uint8"))

    answer = numpy.load(io.BytesIO(modern_block.invoke(body.getvalue(), NPY).body))

    assert (answer.tolist(), str(answer.dtype)) == ([[2.0, 4.0]], "float64")


def test_the_first_known_type_of_accept_is_written(modern_block: Served) -> None:
    headers = {"Content-Type": "application/json", "Accept": "a/b, application/json"}
    reply = modern_block.invoke("[1]", headers)

    assert (reply.json, reply.content_type) == ([2.0], "a/b, application/json")


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "a/b"}, {"Content-Type": "application/json", "Accept": "a/b"}],
)
def test_a_type_that_no_default_knows_has_the_generations_status(
    block: Served, headers: dict[str, str]
) -> None:
    reply = block.invoke("[1]", headers)

    status_of_legacy = 415 if headers["Content-Type"] == "a/b" else 406
    assert reply.status == (status_of_legacy if is_legacy(block) else 500)


def is_legacy(served: Served) -> bool:
    return "Serving legacy" in served.log


@pytest.mark.evidence("recorded", "sagemaker-mxnet-inference-toolkit addf279 run on MXNet 1.9.1")
def test_padding_of_script_mode_loses_rows_with_a_batch_above_one(
    batch_of_three: tuple[str, Served],
) -> None:
    version, served = batch_of_three
    replies: dict[int, Reply] = {count: served.invoke(rows(count)) for count in (2, 3, 5)}

    if version == LEGACY:
        assert {count: len(reply.json) for count, reply in replies.items()} == {2: 2, 3: 3, 5: 5}
    else:
        assert len(replies[2].json) == 2
        assert replies[3].status == 500
        assert len(replies[5].json) == 4


@pytest.mark.parametrize("version", [LEGACY, EARLY])
def test_a_model_that_is_neither_module_nor_block_ends_the_older_servers(
    world: World, mxnet_python: str, version: str
) -> None:
    served = world.serve("def model_fn(d): return {}", version, python=mxnet_python, wait=False)

    assert served.process.wait(PATIENCE) == 0
    assert "Unsupported model type: dict" in served.log


def test_a_model_that_is_neither_module_nor_block_is_a_503_in_script_mode(
    world: World, mxnet_python: str
) -> None:
    served = world.serve("def model_fn(d): return {}", MODERN, python=mxnet_python)

    assert served.invoke([1]).status == 503
    assert "Unsupported model type: dict" in served.log


def test_legacy_functions_of_a_module_get_the_model_first(
    world: World, mxnet_python: str, saved_module: dict[str, bytes]
) -> None:
    served = world.serve(
        """
        import json, mxnet as mx
        def input_fn(model, data, content_type):
            return mx.io.NDArrayIter(mx.nd.array([json.loads(data)]), batch_size=1)
        def predict_fn(model, data):
            return model.predict(data)
        def output_fn(prediction, accept):
            return str(prediction.asnumpy().tolist()), "text/plain"
        """,
        LEGACY, python=mxnet_python, files=saved_module,
    )  # fmt: skip

    assert served.invoke([1, 2]).body == b"[[5.5]]"


def test_process_request_fn_stands_for_input_and_predict_in_legacy(
    world: World, mxnet_python: str, saved_module: dict[str, bytes]
) -> None:
    served = world.serve(
        """
        def process_request_fn(model, data, content_type):
            return [type(model).__name__, data, content_type]
        def output_fn(prediction, accept):
            return repr(prediction), accept
        """,
        LEGACY, python=mxnet_python, files=saved_module,
    )  # fmt: skip

    assert served.invoke([1]).body == b"['Module', '[1]', 'application/json']"


def test_a_modern_input_fn_of_a_module_gets_the_model_only_if_it_names_it(
    world: World, mxnet_python: str, saved_module: dict[str, bytes]
) -> None:
    served = world.serve(
        """
        def input_fn(data, content_type, model): return type(model).__name__
        def predict_fn(data, model): return data
        def output_fn(prediction, accept): return prediction
        """,
        MODERN, python=mxnet_python, files=saved_module,
    )  # fmt: skip

    assert served.invoke([1]).body == b"Module"


def test_the_batch_variable_counts_in_legacy(
    world: World, mxnet_python: str, saved_module: dict[str, bytes]
) -> None:
    script = """
        import json
        def output_fn(prediction, accept): return "x", accept
        def predict_fn(model, data): print("bound to", model.data_shapes[0].shape)
    """
    served = world.serve(
        script, LEGACY, python=mxnet_python, files=saved_module,
        SAGEMAKER_DEFAULT_MODEL_FIRST_DIMENSION_SIZE="7",
    )  # fmt: skip
    served.invoke([[1, 2]])

    assert "bound to [7, 2]" in served.log


def test_models_survive_the_fork_and_answer_side_by_side(world: World, mxnet_python: str) -> None:
    script = """
        import json, os
        import mxnet as mx
        from mxnet import gluon
        def model_fn(model_dir):
            net = gluon.nn.HybridSequential()
            net.add(gluon.nn.Conv2D(8, 3), gluon.nn.Dense(2))
            net.initialize(mx.init.One())
            net.hybridize()
            return net
        def transform_fn(net, data, content_type, accept):
            out = net(mx.nd.ones((1, 3, 8, 8)) * json.loads(data)).asnumpy().tolist()
            return json.dumps({"out": out, "pid": os.getpid()}), accept
    """
    served = world.serve(script, LEGACY, python=mxnet_python, workers=2)
    told = [json.loads(served.invoke("2").body) for _ in range(20)]

    assert "not forked" not in served.log
    assert {tuple(answer["out"][0]) for answer in told} == {(15552.0, 15552.0)}


def test_with_several_openmp_threads_mxnet_is_not_forked(
    world: World, mxnet_python: str, saved_module: dict[str, bytes]
) -> None:
    served = world.serve("", LEGACY, python=mxnet_python, files=saved_module, OMP_NUM_THREADS="2")

    assert served.invoke([[1, 2]]).json == [[5.5]]
    assert "several OpenMP threads do not survive it" in served.log
