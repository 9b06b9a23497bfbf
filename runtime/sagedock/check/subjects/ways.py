"""Ways through a function that end without a value, or read a name that they never gave one.

Only what a client or a failure surely leads to: a type that no `if` asks for, and the handler of a
`try` that lets go on. Loops, and conditions on anything else, may have reasons that the text does
not tell.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sagedock.check.subjects.module import Function

_ENDS = (ast.Return, ast.Raise)
_ASSIGNS = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Pass)
Branch = ast.If | ast.ExceptHandler


@dataclass(frozen=True, slots=True)
class Gap:
    """`branch` is the last `if` of its chain, or the handler, behind which the way goes on; `name`
    what has no value there, "" where nothing is returned; `node` where that shows."""

    branch: Branch
    node: ast.AST
    name: str = ""


def gaps(function: Function, asked: Collection[str]) -> Iterator[Gap]:
    """`asked` are the parameters that a client may give any text. One way that returns nothing is
    told of, and one name a branch."""
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(function)):
        return
    returns = [n for n in _own(function) if isinstance(n, ast.Return)]
    if any(node.value is not None for node in returns):
        open_ones = (b for b in _let_go(function.body, None) if _is_open(function, b, asked))
        if (branch := next(open_ones, None)) is not None:
            yield Gap(branch, branch)
    told = set()
    for gap in _unassigned(function, asked):
        if gap.branch not in told:
            told.add(gap.branch)
            yield gap


def _own(function: Function) -> Iterator[ast.AST]:
    """Nodes of the function that are not in another one within it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        yield node
        inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
        if not isinstance(node, inner):
            waiting += ast.iter_child_nodes(node)


def _let_go(body: Sequence[ast.stmt], branch: Branch | None) -> Iterator[Branch]:
    """Branches by which control may leave the end of the block, and did not return."""
    last = body[-1]
    if isinstance(last, ast.If):
        yield from _let_go(last.body, branch)
        if last.orelse:
            yield from _let_go(last.orelse, branch or last)
        else:
            yield last
    elif isinstance(last, ast.Try) and not (last.finalbody and _ends(last.finalbody)):
        yield from _let_go(last.orelse or last.body, branch)
        for handler in last.handlers:
            yield from _let_go(handler.body, handler)
    elif isinstance(last, ast.With):
        yield from _let_go(last.body, branch)
    elif branch is not None and _goes_on(last):
        yield branch


def _goes_on(last: ast.stmt) -> bool:
    """Surely: a call of something unknown may raise, or end the process."""
    if isinstance(last, ast.Expr):
        call = last.value
        return not isinstance(call, ast.Call) or _tells(call.func)
    return isinstance(last, _ASSIGNS)


def _tells(function: ast.expr) -> bool:
    """Whether it says something and comes back, as print and loggers do, and parser.error not."""
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.append(function.attr)
        function = function.value
    if not isinstance(function, ast.Name):
        return False
    last, *above = [*parts, function.id]
    is_log = any(part.lower().strip("_").startswith("log") for part in above)
    return is_log or [last, *above] in (["print"], ["print_exc", "traceback"], ["warn", "warnings"])


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Whether no way through the block reaches its end."""
    last = body[-1]
    if isinstance(last, ast.If):
        return bool(last.orelse) and _ends(last.body) and _ends(last.orelse)
    return isinstance(last, _ENDS) or not (_goes_on(last) or isinstance(last, (ast.For, ast.While)))


def _is_open(function: Function, branch: Branch, asked: Collection[str]) -> bool:
    """Whether some request, or some failure, takes this way."""
    if isinstance(branch, ast.ExceptHandler):
        return True
    names = _names(branch.test) & set(asked)
    return bool(names) and not _is_guarded(function, branch, names)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _is_guarded(function: Function, branch: ast.If, names: set[str]) -> bool:
    """Whether something before may have refused what no `if` asks for, or replaced it."""
    for node in _own(function):
        if getattr(node, "lineno", branch.lineno) >= branch.lineno:
            continue
        if isinstance(node, ast.Assert) and _names(node.test) & names:
            return True
        if isinstance(node, ast.If) and _names(node.test) & names:
            is_negative = any(
                isinstance(n, (ast.Not, ast.NotIn, ast.NotEq)) for n in ast.walk(node.test)
            )
            if is_negative or any(isinstance(n, ast.Raise) for n in ast.walk(node)):
                return True
        if isinstance(node, ast.Expr) and _names(node) & names and not _goes_on(node):
            return True
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Store):
            return True
    return False


# --- names ----------------------------------------------------------------------------------------


def _unassigned(function: Function, asked: Collection[str]) -> Iterator[Gap]:
    """Names that a chain of `if`, or a `try`, gives a value on some ways, and that the next
    statements of the same block read on all of them."""
    everywhere = _bindings(function)
    for body in _blocks(function):
        for place, statement in enumerate(body):
            if not isinstance(statement, (ast.If, ast.Try)):
                continue
            here = _bindings(statement)
            for name in sorted(_stored(statement)):
                if everywhere[name] > here[name]:
                    continue
                read = _first_read(body[place + 1 :], name)
                if read is None:
                    continue
                branch = next(_ways_without(statement, name), None)
                if branch is not None and _is_open(function, branch, asked):
                    yield Gap(branch, read, name)


def _blocks(function: Function) -> Iterator[list[ast.stmt]]:
    yield function.body
    for node in _own(function):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and not isinstance(node, ast.ClassDef):
                yield block


def _stored(statement: ast.stmt) -> set[str]:
    nodes = list(ast.walk(statement))
    in_tests = {n.target.id for n in nodes if isinstance(n, ast.NamedExpr)}
    stored = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored - in_tests


def _bindings(node: ast.AST) -> Counter[str]:
    """How often each name is given a value below the node: by a statement, a parameter, an import,
    a `global`."""
    names: Counter[str] = Counter()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            if not isinstance(inner.ctx, ast.Load):
                names[inner.id] += 1
        elif isinstance(inner, ast.arg):
            names[inner.arg] += 1
        elif isinstance(inner, (ast.Global, ast.Nonlocal)):
            names.update(inner.names)
        elif isinstance(inner, ast.alias):
            names.update({inner.asname or inner.name, inner.name})
        elif isinstance(name := getattr(inner, "name", None), str):
            names[name] += 1
    return names


def _ways_without(statement: ast.stmt, name: str, above: Branch | None = None) -> Iterator[Branch]:
    """Branches of the statement behind which the name has no value; none where a way may end."""
    if isinstance(statement, ast.If):
        yield from _block_without(statement.body, name, above)
        if statement.orelse:
            yield from _block_without(statement.orelse, name, above or statement)
        else:
            yield statement
    elif isinstance(statement, ast.Try) and not statement.finalbody:
        body = [*statement.body, *statement.orelse]
        if any(name in _stored(one) for one in body):
            for handler in statement.handlers:
                yield from _block_without(handler.body, name, handler)


def _block_without(body: Sequence[ast.stmt], name: str, branch: Branch | None) -> Iterator[Branch]:
    if any(name in _stored(one) and not isinstance(one, (ast.If, ast.Try)) for one in body):
        return
    inner = [one for one in body if name in _stored(one)]
    if inner:
        yield from _ways_without(inner[-1], name, branch)
    elif branch is not None and _goes_on(body[-1]) and not any(_may_end(one) for one in body):
        yield branch


def _may_end(statement: ast.stmt) -> bool:
    return any(isinstance(n, (*_ENDS, ast.Continue, ast.Break)) for n in ast.walk(statement))


def _first_read(following: Sequence[ast.stmt], name: str) -> ast.Name | None:
    """Where the next statements surely read it; None behind a condition or an end."""
    for statement in following:
        head: ast.AST = statement
        if isinstance(statement, ast.For):
            head = statement.iter
        elif isinstance(statement, (ast.If, ast.While)):
            head = statement.test
        elif isinstance(statement, (ast.Try, ast.With, ast.FunctionDef, ast.ClassDef)):
            return None
        surely = [n for n in _surely_run(head) if isinstance(n, ast.Name) and n.id == name]
        if surely:
            return surely[0] if isinstance(surely[0].ctx, ast.Load) else None
        if head is not statement or _may_end(statement):
            return None
    return None


def _surely_run(node: ast.AST) -> Iterator[ast.AST]:
    """Without lambdas, and what only one side of a condition reads."""
    if isinstance(node, (ast.Lambda, ast.BoolOp, ast.IfExp)):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _surely_run(child)
