"""What MXNet's own files say: the names and shapes in a .params file, the inputs of a symbol.

The layout is that of apache/mxnet 1.9.1, src/ndarray/ndarray.cc (NDArray::Save) and
include/mxnet/tuple.h; no MXNet is needed to read it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LIST_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_DENSE = 0
_SIZES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1, 8: 2, 9: 2, 10: 4, 11: 8, 12: 2}
"""Bytes of one element by mshadow's type flag."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Shapes by name; `trouble` is why the file could not be read, "" where it could."""

    shapes: Mapping[str, tuple[int, ...]]
    trouble: str = ""

    @property
    def is_of_module(self) -> bool:
        """Names begin with arg: or aux:, as Module and export write them; Gluon's
        save_parameters writes them bare."""
        return all(name.startswith(("arg:", "aux:")) for name in self.shapes)


def parameters_of(data: bytes) -> Parameters:
    reader = _Reader(data)
    try:
        if reader.take("<QQ")[0] != _LIST_MAGIC:
            return Parameters({}, "this is no parameter file of MXNet")
        (count,) = reader.take("<Q")
        shapes = [_shape(reader) for _ in range(count)]
        (named,) = reader.take("<Q")
        names = [reader.text() for _ in range(named)]
    except (struct.error, KeyError, UnicodeDecodeError):
        return Parameters({}, "the parameter file ends too early, or is damaged")
    return Parameters(dict(zip(names, shapes, strict=False)))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, layout: str) -> tuple[int, ...]:
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return found

    def text(self) -> str:
        (length,) = self.take("<Q")
        self.skip(length)
        return self._data[self._at - length : self._at].decode()

    def skip(self, count: int) -> None:
        if count < 0 or self._at + count > len(self._data):
            raise struct.error
        self._at += count


def _shape(reader: _Reader) -> tuple[int, ...]:
    """The next array's shape; its elements are passed over."""
    (magic,) = reader.take("<I")
    sparse: tuple[int, ...] | None = None
    kind = _DENSE
    if magic in (_V2, _V3):
        (kind,) = reader.take("<i")
        if kind != _DENSE:
            sparse = _dimensions(reader)
        shape = _dimensions(reader)
    elif magic == _V1:
        shape = _dimensions(reader)
    else:  # before 1.0: the magic is the number of dimensions, each of 32 bits
        shape = reader.take(f"<{magic}I") if magic < 32 else ()
    if not shape and magic != _V3:
        return shape
    reader.take("<ii")  # the device
    (flag,) = reader.take("<i")
    if kind != _DENSE:
        assert sparse is not None
        for _ in range(1 if kind == 1 else 2):  # row_sparse has one auxiliary array, csr two
            reader.take("<i")
            _dimensions(reader)
        raise KeyError("sparse")
    count = 1
    for size in shape:
        count *= size
    reader.skip(count * _SIZES[flag])
    return shape


def _dimensions(reader: _Reader) -> tuple[int, ...]:
    (count,) = reader.take("<i")
    return reader.take(f"<{count}q") if count > 0 else ()


@dataclass(frozen=True, slots=True)
class Symbol:
    """Names of a symbol's inputs: data, labels and parameters alike."""

    inputs: tuple[str, ...]
    operators: tuple[str, ...]


def symbol_of(document: Any) -> Symbol | None:
    """None for what is no symbol (apache/mxnet nnvm/src/pass/saveload_json.cc)."""
    nodes = document.get("nodes") if isinstance(document, dict) else None
    if not isinstance(nodes, list) or not all(isinstance(node, dict) for node in nodes):
        return None
    inputs = tuple(str(node.get("name")) for node in nodes if node.get("op") == "null")
    operators = tuple(str(node.get("op")) for node in nodes if node.get("op") != "null")
    return Symbol(inputs, operators)
