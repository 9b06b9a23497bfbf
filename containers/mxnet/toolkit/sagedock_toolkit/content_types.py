"""JSON, CSV and NPY to arrays and back, as the default handlers of script mode do it.

Source: sagemaker-inference-toolkit 1.6.1 (decoder.py, encoder.py). The legacy ones work on MXNet's
own arrays and are in `mxnet_defaults`. numpy is imported by the first call: a script with a
`transform_fn` of its own need not have it.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Callable, Union

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

JSON = "application/json"
CSV = "text/csv"
NPY = "application/x-npy"

Data = Union[str, bytes, bytearray]


class UnsupportedFormatError(Exception):
    """Neither decoder nor encoder knows the type; a 500 in script mode (there is no 415 or 406)."""

    def __init__(self, content_type: str | None, **kwargs: Any) -> None:
        self._message = (
            f"Content type {content_type} is not supported by this framework: the default handlers "
            "cannot read or write it. Give the script an input_fn that reads the request, or an "
            "output_fn that writes the response."
        )
        super().__init__(self._message, **kwargs)


def decode(data: Data, content_type: str | None) -> Array:
    """The array in a body. Raises UnsupportedFormatError, or ValueError for a broken body."""
    decoder = _DECODERS.get(content_type or "")
    if decoder is None:
        raise UnsupportedFormatError(content_type)
    return decoder(data)


def encode(value: Any, content_type: str) -> str | bytes:
    """The body for a value: lists become JSON or CSV text, or NPY with numpy's own types for lists
    (so floats are written as float64). Raises UnsupportedFormatError."""
    encoder = _ENCODERS.get(content_type)
    if encoder is None:
        raise UnsupportedFormatError(content_type)
    return encoder(value)


def accepted(accept: str) -> list[str]:
    """The types of an Accept header in their order, spaces removed. Weights are not understood, so
    `application/json;q=0.9` names no known type (sagemaker-mxnet-inference-toolkit, utils.py)."""
    return accept.replace(" ", "").split(",")


def _json_to_array(data: Data) -> Array:
    import numpy

    return numpy.array(json.loads(data))


def _csv_to_array(data: Data) -> Array:
    import numpy

    text = data if isinstance(data, str) else bytes(data).decode("utf-8")
    return numpy.genfromtxt(io.StringIO(text), delimiter=",", dtype=None, encoding="utf-8")


def _npy_to_array(data: Data) -> Array:
    import numpy

    raw = data.encode("utf-8") if isinstance(data, str) else data
    # Pickled arrays are read too, as AWS's decoder does: the body comes from the model's owner.
    array: Array = numpy.load(io.BytesIO(raw), allow_pickle=True)
    return array


def _to_json(value: Any) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _to_csv(value: Any) -> str:
    import numpy

    text = io.StringIO()
    numpy.savetxt(text, value, delimiter=",", fmt="%s")
    return text.getvalue()


def _to_npy(value: Any) -> bytes:
    import numpy

    raw = io.BytesIO()
    numpy.save(raw, value)
    return raw.getvalue()


_DECODERS: dict[str, Callable[[Data], Array]] = {
    JSON: _json_to_array, CSV: _csv_to_array, NPY: _npy_to_array,
}  # fmt: skip

_ENCODERS: dict[str, Callable[[Any], str | bytes]] = {
    JSON: _to_json, CSV: _to_csv, NPY: _to_npy,
}  # fmt: skip
