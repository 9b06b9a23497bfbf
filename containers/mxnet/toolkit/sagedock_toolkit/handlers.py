"""The user's functions as each generation finds, checks and calls them.

A `Handler` stands for one generation's chain from request to answer. Argument orders, the types
handed in, and what an exception becomes are those of AWS's stacks; each class names its source.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable, Mapping, NamedTuple, Protocol

from sagedock_toolkit import mxnet_defaults, user_code
from sagedock_toolkit.answers import Answer
from sagedock_toolkit.frames import Meta
from sagedock_toolkit.paths import Paths

TEXT_TYPES = ("application/json", "text/csv")
"""Exactly these make `data` text; `application/json; charset=utf-8` does not, in any generation."""

Function = Callable[..., Any]


class Request(NamedTuple):
    """One request as the worker received it."""

    meta: Meta
    body: bytes | memoryview

    def text(self) -> str:
        """The body as UTF-8. Raises UnicodeDecodeError."""
        return str(self.body, "utf-8")


class Handler(Protocol):
    """A generation's chain, loaded."""

    def answer(self, request: Request) -> Answer:
        """Never raises an Exception: what user code raises becomes an answer, and is logged."""


class Functions:
    """The functions of the user's module; those it does not have are None."""

    def __init__(self, module: ModuleType) -> None:
        def find(name: str) -> Function | None:
            return getattr(module, name, None)

        self.module_name = module.__name__
        self.model = find("model_fn")
        self.transform = find("transform_fn")
        self.input = find("input_fn")
        self.predict = find("predict_fn")
        self.output = find("output_fn")
        self.process_request = find("process_request_fn")
        self.pre_model = find("pre_model_fn")
        self.model_warmup = find("model_warmup_fn")


class Setting(NamedTuple):
    """What a handler is built from."""

    paths: Paths
    environ: Mapping[str, str]

    @property
    def default_accept(self) -> str:
        return self.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or "application/json"

    def import_functions(self, folder: str, default_program: str = "") -> Functions:
        """Import the user's module; what it raises passes. ValueError where none is named."""
        program = self.environ.get("SAGEMAKER_PROGRAM") or default_program
        if not program:
            raise ValueError(
                "not a module! SAGEMAKER_PROGRAM is not set, so there is no script to serve."
            )
        return Functions(user_code.import_program(program, folder))


def default_model(model_dir: str, batch_size: int, missing: str) -> Any:
    """The default `model_fn`. Raises ValueError: `missing`, with the file's name put in."""
    name = mxnet_defaults.missing_file(model_dir)
    if name is not None:
        raise ValueError(missing.format(name))
    return mxnet_defaults.load_module(model_dir, batch_size)


SCRIPT_MODE_MISSING = (
    "Failed to load model with default model_fn: missing file {}. "
    "Expected files: " + ", ".join(mxnet_defaults.MODEL_FILES)
)


def unsupported_model(model: Any) -> ValueError:
    return ValueError(f"Unsupported model type: {type(model).__name__}")


def no_default(name: str) -> Function:
    """Stands for a default function that cannot be, because mxnet is not installed."""

    def fail(*_: Any) -> Any:
        raise ValueError(
            f"The script has no {name}, and the default {name} needs MXNet, which is not installed."
        )

    return fail
