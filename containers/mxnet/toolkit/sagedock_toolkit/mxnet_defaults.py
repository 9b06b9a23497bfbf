"""Default handlers for MXNet's Module and Gluon models; the only file that knows mxnet.

mxnet is imported by the functions, never with this module: a script with its own `transform_fn` may
run without it. Sources: sagemaker-mxnet-training-toolkit 9c46128 (serve/transformer.py) for the
legacy generation, its v2.0.0 (serving.py) for early script mode, sagemaker-mxnet-inference-toolkit
addf279 (default_inference_handler.py) for the current one.
"""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any, Sequence

from sagedock_toolkit import content_types
from sagedock_toolkit.content_types import CSV, JSON, NPY, Data
from sagedock_toolkit.errors import (
    UnsupportedAcceptTypeError,
    UnsupportedContentTypeError,
    UnsupportedInputShapeError,
)

MODEL_FILES = ("model-symbol.json", "model-0000.params", "model-shapes.json")
"""What the default `save` of training writes and the default `model_fn` needs."""

MODULE, BLOCK, OTHER, NO_MXNET = "module", "block", "other", "no mxnet"


def kind_of(model: Any) -> str:
    """MODULE, BLOCK, OTHER, or NO_MXNET where mxnet is not installed."""
    try:
        import mxnet as mx
    except ImportError:
        return NO_MXNET
    if isinstance(model, mx.module.BaseModule):
        return MODULE
    return BLOCK if isinstance(model, mx.gluon.block.Block) else OTHER


def missing_file(model_dir: str) -> str | None:
    """The first file that the default `model_fn` would miss."""
    for name in MODEL_FILES:
        if not os.path.exists(os.path.join(model_dir, name)):
            return name
    return None


def load_module(model_dir: str, batch_size: int) -> Any:
    """The Module that the default `save` wrote, bound for inference on the CPU.

    `batch_size` replaces the first dimension of every input; 0 keeps the one of the training.
    """
    import mxnet as mx

    with open(os.path.join(model_dir, "model-shapes.json"), encoding="utf-8") as file:
        saved = json.load(file)
    shapes = [(entry["name"], _with_batch(entry["shape"], batch_size)) for entry in saved]
    symbol, arguments, auxiliary = mx.model.load_checkpoint(os.path.join(model_dir, "model"), 0)
    eia = os.environ.get("SAGEMAKER_INFERENCE_ACCELERATOR_PRESENT") == "true"
    module = mx.mod.Module(
        symbol=symbol,
        context=mx.eia() if eia else mx.cpu(),
        data_names=[name for name, _ in shapes],
        label_names=None,
    )
    module.bind(for_training=False, data_shapes=shapes)
    module.set_params(arguments, auxiliary, allow_missing=True)
    return module


def _with_batch(shape: Sequence[int], batch_size: int) -> list[int]:
    return [batch_size, *shape[1:]] if batch_size else list(shape)


# ---- legacy


def legacy_block_input(data: Data, content_type: str) -> Any:
    """JSON alone; 415 for anything else."""
    import mxnet as mx

    if content_type != JSON:
        raise UnsupportedContentTypeError(content_type)
    return mx.nd.array(json.loads(data))


def legacy_block_output(prediction: Any, accept: str) -> tuple[str, str]:
    """JSON alone; 406 for anything else."""
    if accept != JSON:
        raise UnsupportedAcceptTypeError(accept)
    return json.dumps(prediction.asnumpy().tolist()), JSON


def legacy_module_input(module: Any, data: Data, content_type: str) -> Any:
    """JSON or CSV; each CSV row takes the shape that the model is bound to, without its batch."""
    import mxnet as mx

    if content_type == JSON:
        return _padded(module, mx.nd.array(json.loads(data)))
    if content_type != CSV:
        raise UnsupportedContentTypeError(content_type)
    if len(module.data_shapes) != 1:
        raise UnsupportedInputShapeError(len(module.data_shapes))
    _, shape = module.data_shapes[0]
    rows = [
        mx.nd.array([float(field) for field in row]).reshape(shape[1:]).asnumpy().tolist()
        for row in csv.reader(io.StringIO(str(data)))
    ]
    return _padded(module, mx.nd.array(rows))


def legacy_module_output(prediction: Any, accept: str) -> tuple[str, str]:
    """JSON or CSV. A Module with several outputs gives one JSON element per output, not per row."""
    if accept == JSON:
        return json.dumps([row.asnumpy().tolist() for row in prediction]), JSON
    if accept == CSV:
        text = io.StringIO()
        csv.writer(text).writerows(row.asnumpy().flatten() for row in prediction)
        return text.getvalue(), CSV
    raise UnsupportedAcceptTypeError(accept)


# ---- script mode


def block_input(data: Data, content_type: str | None) -> Any:
    """JSON or NPY."""
    import mxnet as mx

    return mx.nd.array(_decoded(data, content_type, (JSON, NPY))).as_in_context(mx.cpu())


def block_output(prediction: Any, accept: str) -> str | bytes:
    """JSON or NPY, whichever the Accept header names first."""
    return _encoded(prediction, accept, (JSON, NPY))


def early_module_input(data: Data, content_type: str | None, module: Any) -> Any:
    """JSON, CSV or NPY. CSV takes the whole shape that the model is bound to, batch included, so
    that with a batch of 1 more than one row fails."""
    import mxnet as mx

    array = mx.nd.array(_decoded(data, content_type, (JSON, CSV, NPY)))
    [(_, shape)] = module.data_shapes
    return _padded(module, array.reshape(shape) if content_type == CSV else array)


def module_input(data: Data, content_type: str | None, model: Any) -> Any:
    """JSON, CSV or NPY; CSV rows take the bound shape without its batch.

    With a bound batch b above 1, b - n mod b rows of zeros are added to n rows, also where n is a
    multiple of b, and as many are cut from *every* batch of the result: AWS's handler does so.
    """
    import mxnet as mx

    array = mx.nd.array(_decoded(data, content_type, (JSON, CSV, NPY))).as_in_context(mx.cpu())
    [(_, shape)] = model.data_shapes
    if content_type == CSV:
        array = array.reshape((-1, *shape[1:]))
    rows = shape[0] - array.shape[0] % shape[0] if shape[0] > 1 else 0
    return _iterator(array, shape[0], rows)


def module_output(prediction: Any, accept: str) -> str | bytes:
    """JSON, CSV or NPY, whichever the Accept header names first."""
    return _encoded(prediction, accept, (JSON, CSV, NPY))


def _decoded(data: Data, content_type: str | None, known: Sequence[str]) -> Any:
    if content_type not in known:
        raise content_types.UnsupportedFormatError(content_type)
    return content_types.decode(data, content_type)


def _encoded(prediction: Any, accept: str, known: Sequence[str]) -> str | bytes:
    for content_type in content_types.accepted(accept):
        if content_type in known:
            return content_types.encode(prediction.asnumpy().tolist(), content_type)
    raise content_types.UnsupportedFormatError(accept)


# ---- both


def _padded(module: Any, array: Any) -> Any:
    """An iterator over `array`, filled up with rows of zeros where it is smaller than one batch."""
    [(_, shape)] = module.data_shapes
    return _iterator(array, shape[0], max(0, shape[0] - array.shape[0]))


def _iterator(array: Any, batch_size: int, added_rows: int) -> Any:
    import mxnet as mx

    if added_rows:
        zeros = mx.nd.zeros(shape=(added_rows, *array.shape[1:]))
        array = mx.nd.concat(array, zeros, dim=0)
    iterator = mx.io.NDArrayIter(array, batch_size=batch_size, last_batch_handle="pad")
    if added_rows:
        # Module.predict cuts off as many rows of each batch as the iterator says it has added.
        iterator.getpad = lambda: added_rows
    return iterator
