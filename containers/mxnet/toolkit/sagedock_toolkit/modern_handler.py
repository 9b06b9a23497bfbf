"""User functions of script mode since MXNet 1.4.1.

Sources: sagemaker-inference-toolkit 1.6.1 (transformer.py, utils.py),
sagemaker-mxnet-inference-toolkit addf279 (handler_service.py, mxnet_module_transformer.py),
multi-model-server 1.1.8 (service.py, otf_message_handler.py, InferenceRequestHandler.java).
"""

from __future__ import annotations

import inspect
import json
import logging
import traceback
from typing import Any

from sagedock_toolkit import form_bodies, mxnet_defaults
from sagedock_toolkit.answers import JSON, Answer
from sagedock_toolkit.generations import modern_code
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


class ModernHandler:
    """Loading never ends the server: MMS swallows what it raises, and each request fails."""

    def __init__(self, setting: Setting) -> None:
        self._default_accept = setting.default_accept
        self._model_dir = setting.paths.model
        self._functions: Functions | None = None
        self._transform: Function | None = None
        self._model: Any = None
        try:
            code = modern_code(setting.paths, setting.environ)
            self._functions = setting.import_functions(code, "inference")
            self._initialize()
        except (Exception, SystemExit):
            log.exception("The model could not be loaded; requests will fail.")

    def _initialize(self) -> None:
        functions = self._functions
        assert functions is not None
        if functions.transform is not None:
            if functions.input or functions.predict or functions.output:
                raise ValueError(
                    "Cannot use transform_fn implementation in conjunction with input_fn, "
                    "predict_fn, and/or output_fn implementation"
                )
            self._model = self._load_model(functions)
            self._transform = functions.transform
        else:
            # AWS calls model_fn twice here, once to see the model's type; once is enough.
            self._model = self._load_model(functions)
            self._transform = _chain(functions, self._model)

    def _load_model(self, functions: Functions) -> Any:
        if functions.pre_model is not None:
            functions.pre_model(self._model_dir)
        if functions.model is not None:
            model = functions.model(self._model_dir)
        else:
            model = default_model(self._model_dir, 1, SCRIPT_MODE_MISSING)
        if functions.model_warmup is not None:
            functions.model_warmup(self._model_dir, model)
        return model

    def answer(self, request: Request) -> Answer:
        functions = self._functions
        if self._transform is None and (functions is None or functions.transform is None):
            return _mms_error(503, "Prediction failed")
        try:
            if self._transform is None:
                # With a transform_fn, what failed at the start is tried again by each request.
                self._initialize()
            answer = self._transformed(request)
            answer.head()
            return answer
        except MemoryError:
            log.exception("The request needed more memory than there is.")
            return _mms_error(507, "Out of resources")
        except Exception as error:
            log.exception("The request failed.")
            return _failure(error)

    def _transformed(self, request: Request) -> Answer:
        assert self._transform is not None
        meta = request.meta
        accept = meta.accept
        if not accept or accept == "*/*":
            accept = self._default_accept
        body = form_bodies.body_of(request.body, meta)
        is_text = meta.content_type in TEXT_TYPES and body is not None
        data = body.decode("utf-8") if is_text and body is not None else body
        result = self._transform(self._model, data, meta.content_type, accept)
        if isinstance(result, tuple):
            return _answer(result[0], result[1])
        return _answer(result, accept)


def _answer(body: Any, content_type: Any) -> Answer:
    """MMS sends text and bytes as they are and everything else as indented JSON."""
    header = str(content_type) if content_type else None
    if isinstance(body, str):
        return Answer(200, header, body.encode("utf-8"))
    if isinstance(body, (bytes, bytearray)):
        return Answer(200, header, bytes(body))
    try:
        return Answer(200, header, json.dumps(body, indent=2).encode("utf-8"))
    except TypeError:
        log.exception("The result is neither text nor bytes and cannot be written as JSON.")
        return _mms_error(503, "Unsupported model output data type.")


def _failure(error: Exception) -> Answer:
    """Message and traceback; a BaseInferenceToolkitError brings its own status and phrase."""
    trace = traceback.format_exc()
    status, message, phrase = 500, str(error), ""
    if _is_toolkit_error(error):
        fields = vars(error)
        status, message = int(fields["status_code"]), str(fields["message"])
        phrase = str(fields["phrase"]).replace("\r", " ").replace("\n", " ")
    answer = Answer(status, None, f"{message}\n{trace}".encode("utf-8", "backslashreplace"), phrase)
    try:
        answer.head()
    except ValueError:
        return answer._replace(status=500, phrase="")
    return answer


def _is_toolkit_error(error: Exception) -> bool:
    """By name: the class is AWS's where that package is installed, and our stand-in elsewhere."""
    return any(kind.__name__ == "BaseInferenceToolkitError" for kind in type(error).__mro__)


def _mms_error(status: int, message: str) -> Answer:
    body = {"code": status, "type": "InternalServerException", "message": message}
    return Answer(status, JSON, (json.dumps(body, indent=2) + "\n").encode())


def _chain(functions: Functions, model: Any) -> Function:
    kind = mxnet_defaults.kind_of(model)
    if kind == mxnet_defaults.OTHER:
        raise unsupported_model(model)
    if kind == mxnet_defaults.MODULE:
        return _module_chain(functions)
    has_mxnet = kind == mxnet_defaults.BLOCK
    read = functions.input or (mxnet_defaults.block_input if has_mxnet else no_default("input_fn"))
    predict = functions.predict or (lambda data, block: block(data))
    write = functions.output or (
        mxnet_defaults.block_output if has_mxnet else no_default("output_fn")
    )

    def transform(model: Any, data: Any, content_type: str | None, accept: str) -> Any:
        return write(predict(read(data, content_type), model), accept)

    return transform


def _module_chain(functions: Functions) -> Function:
    read: Function = functions.input or mxnet_defaults.module_input
    predict = functions.predict or (lambda data, module: module.predict(data))
    write = functions.output or mxnet_defaults.module_output
    takes_model = "model" in inspect.getfullargspec(read).args

    def transform(model: Any, data: Any, content_type: str | None, accept: str) -> Any:
        given = read(data, content_type, model) if takes_model else read(data, content_type)
        return write(predict(given, model), accept)

    return transform
