"""User functions of the legacy generation (MXNet up to 1.2.1).

Sources: sagemaker-container-support 1.1.3 (serving.py) and sagemaker-mxnet-training-toolkit 9c46128
(serve/transformer.py).
"""

from __future__ import annotations

import json
import logging
from typing import Any

from sagedock_toolkit import flask_answers, mxnet_defaults
from sagedock_toolkit.answers import HTML, JSON, Answer
from sagedock_toolkit.errors import (
    UnsupportedAcceptTypeError,
    UnsupportedContentTypeError,
    UnsupportedInputShapeError,
)
from sagedock_toolkit.handlers import (
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

_STATUSES = {
    UnsupportedContentTypeError: 415,
    UnsupportedAcceptTypeError: 406,
    UnsupportedInputShapeError: 412,
}


class LegacyHandler:
    """`model_fn` ran once when this exists; what it raises ends the server."""

    def __init__(self, setting: Setting) -> None:
        self._default_accept = setting.default_accept
        functions = setting.import_functions(setting.paths.code)
        model_dir = setting.paths.model
        if functions.model is not None:
            self._model = functions.model(model_dir)
        else:
            batch = setting.environ.get("SAGEMAKER_DEFAULT_MODEL_FIRST_DIMENSION_SIZE", "1")
            self._model = default_model(model_dir, int(batch), "missing {} file")
        # The three other functions are not looked at beside a transform_fn.
        self._transform = functions.transform or _chain(functions, self._model)

    def answer(self, request: Request) -> Answer:
        meta = request.meta
        content_type = meta.content_type or JSON
        accept = meta.accept
        if not accept or accept == "*/*":
            accept = self._default_accept
        try:
            data: str | bytes
            data = request.text() if content_type in TEXT_TYPES else bytes(request.body)
            body, returned_type = self._transform(self._model, data, content_type, accept)
            return _checked(flask_answers.from_body(body, returned_type))
        except tuple(_STATUSES) as error:
            log.exception("The request could not be served.")
            status = next(number for kind, number in _STATUSES.items() if isinstance(error, kind))
            return Answer(status, JSON, json.dumps(str(error)).encode())
        except Exception:
            log.exception("The request failed.")
            return Answer(500, HTML, b"")


def _checked(answer: Answer) -> Answer:
    """Write the head once here, so that a content type that cannot be sent is the user's error."""
    answer.head()
    return answer


def _chain(functions: Functions, model: Any) -> Function:
    """input_fn, predict_fn and output_fn as one transform_fn, with the model's own defaults."""
    kind = mxnet_defaults.kind_of(model)
    if kind == mxnet_defaults.OTHER:
        raise unsupported_model(model)
    return (
        _module_chain(functions) if kind == mxnet_defaults.MODULE else _block_chain(functions, kind)
    )


def _module_chain(functions: Functions) -> Function:
    read = functions.input or mxnet_defaults.legacy_module_input
    predict = functions.predict or (lambda module, data: module.predict(data))
    write = functions.output or mxnet_defaults.legacy_module_output

    def process(model: Any, data: Any, content_type: str) -> Any:
        return predict(model, read(model, data, content_type))

    process_request = functions.process_request or process

    def transform(model: Any, data: Any, content_type: str, accept: str) -> tuple[Any, Any]:
        body, returned_type = write(process_request(model, data, content_type), accept)
        return body, returned_type

    return transform


def _block_chain(functions: Functions, kind: str) -> Function:
    """Also for a model of any kind where mxnet is not installed: all three are the user's then."""
    has_mxnet = kind == mxnet_defaults.BLOCK
    read = functions.input or (
        mxnet_defaults.legacy_block_input if has_mxnet else no_default("input_fn")
    )
    predict = functions.predict or (lambda block, data: block(data))
    write = functions.output or (
        mxnet_defaults.legacy_block_output if has_mxnet else no_default("output_fn")
    )

    def transform(block: Any, data: Any, content_type: str, accept: str) -> tuple[Any, Any]:
        body, returned_type = write(predict(block, read(data, content_type)), accept)
        return body, returned_type

    return transform
