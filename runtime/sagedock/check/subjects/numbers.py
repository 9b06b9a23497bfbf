"""Which expressions have to be numbers, and which of them are text all the same."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from sagedock.check.subjects.module import Module
from sagedock.check.subjects.texts import Origin, texts_of

_MATHS = (ast.Sub, ast.Div, ast.FloorDiv, ast.Pow)
_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


@lru_cache(maxsize=64)
def texts_as_numbers(module: Module) -> tuple[tuple[ast.expr, Origin], ...]:
    """Each such place, and where its text comes from. Once a module: a rule an origin asks."""
    origin = texts_of(module).origin
    found = ((used, origin(used)) for used in _used_as_numbers(module))
    return tuple((used, text) for used, text in found if text is not None)


def _used_as_numbers(module: Module) -> Iterator[ast.expr]:
    for call in module.calls:
        yield from _number_arguments(module, call)
    for operation in module.every(ast.BinOp):
        yield from _operands(operation)
    for comparison in module.every(ast.Compare):
        if isinstance(comparison.ops[0], _ORDER):
            yield from _beside_a_number(comparison.left, comparison.comparators[0])


def _number_arguments(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    name = module.dotted(call.func)
    if name in ("range", "round", "abs") or name.startswith("math."):
        yield from call.args
    if name.startswith(("mxnet.io.", "mxnet.gluon.data.")):
        yield from (k.value for k in call.keywords if k.arg in ("batch_size", "num_workers"))


def _operands(node: ast.BinOp) -> Iterator[ast.expr]:
    if isinstance(node.op, _MATHS):
        yield from (node.left, node.right)
    elif isinstance(node.op, (ast.Add, ast.Mult)):
        yield from _beside_a_number(node.left, node.right)


def _beside_a_number(left: ast.expr, right: ast.expr) -> Iterator[ast.expr]:
    if _is_number(right):
        yield left
    if _is_number(left):
        yield right


def _is_number(node: ast.expr) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, (int, float)) and not isinstance(value, bool)
