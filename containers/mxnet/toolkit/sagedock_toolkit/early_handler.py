"""User functions of early script mode (MXNet 1.3.0, and the first images of 1.4.0).

Sources: sagemaker-mxnet-training-toolkit v2.0.0 (serving.py) with sagemaker-containers 2.2.5
(_transformer.py, _worker.py).
"""

from __future__ import annotations

import logging
from typing import Any

from sagedock_toolkit import flask_answers, mxnet_defaults
from sagedock_toolkit.answers import HTML, JSON, Answer, html_page
from sagedock_toolkit.handlers import (
    SCRIPT_MODE_MISSING,
    TEXT_TYPES,
    Function,
    Functions,
    Request,
    Setting,
    default_model,
    no_default,
    unsupported_model,
)

log = logging.getLogger(__name__)


class EarlyHandler:
    """`model_fn` ran once when this exists; what it raises ends the server."""

    def __init__(self, setting: Setting) -> None:
        self._default_accept = setting.default_accept
        functions = setting.import_functions(setting.paths.code)
        model_dir = setting.paths.model
        if functions.model is not None:
            self._model = functions.model(model_dir)
        else:
            # The variable for the batch size has no effect here: the parameter's 1 is tested first.
            self._model = default_model(model_dir, 1, SCRIPT_MODE_MISSING)
        self._transform = functions.transform or _chain(functions, self._model)

    def answer(self, request: Request) -> Answer:
        meta = request.meta
        content_type = meta.content_type or JSON
        accept = meta.accept or self._default_accept  # `*/*` is handed on as it is
        try:
            data: str | bytes
            data = request.text() if content_type in TEXT_TYPES else bytes(request.body)
            answer = _answer(self._transform(self._model, data, content_type, accept))
            answer.head()
            return answer
        except Exception:
            # Any error, unsupported types too: the MXNet layer set no error class, and calling
            # None for one ended in a TypeError and Flask's own page.
            log.exception("The request failed.")
            return Answer(500, HTML, html_page(500))


def _answer(result: Any) -> Answer:
    """A Response object, a pair of body and content type, or a bare body."""
    if isinstance(result, tuple):
        return flask_answers.from_body(result[0], result[1])
    if hasattr(result, "get_data") and hasattr(result, "status_code"):
        return flask_answers.from_response(result)
    return flask_answers.from_body(result, None)


def _chain(functions: Functions, model: Any) -> Function:
    kind = mxnet_defaults.kind_of(model)
    if kind == mxnet_defaults.OTHER:
        raise unsupported_model(model)
    defaults = _module_defaults(model) if kind == mxnet_defaults.MODULE else _block_defaults(kind)
    read, predict, write = (
        own or default
        for own, default in zip((functions.input, functions.predict, functions.output), defaults)
    )

    def transform(model: Any, data: Any, content_type: str, accept: str) -> Any:
        return write(predict(read(data, content_type), model), accept)

    return transform


def _module_defaults(module: Any) -> tuple[Function, Function, Function]:
    def read(data: Any, content_type: str) -> Any:
        return mxnet_defaults.early_module_input(data, content_type, module)

    def write(prediction: Any, accept: str) -> Any:
        return mxnet_defaults.module_output(prediction, accept), accept

    return read, (lambda data, module: module.predict(data)), write


def _block_defaults(kind: str) -> tuple[Function, Function, Function]:
    def predict(data: Any, block: Any) -> Any:
        return block(data)

    def write(prediction: Any, accept: str) -> Any:
        return mxnet_defaults.block_output(prediction, accept), accept

    if kind == mxnet_defaults.NO_MXNET:
        return no_default("input_fn"), predict, no_default("output_fn")
    return mxnet_defaults.block_input, predict, write
