"""Which names of a file have a value where they are used: Python's scopes, read from the tree."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator

from sagedock.check.subjects.module import Module
from sagedock.check.subjects.words import words

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (ast.Module, ast.ClassDef, *_FUNCTIONS, *_COMPREHENSIONS)

_ALWAYS_THERE = frozenset(dir(builtins)) | words(
    """
    __file__ __name__ __doc__ __path__ __package__ __class__ __spec__ __loader__
    __annotations__ __builtins__ __module__ __qualname__ WindowsError get_ipython
    """
)
_GIVES_NAMES = frozenset({"exec", "execfile", "globals", "locals", "__builtins__", "builtins"})
"""What may bind names that the tree does not show."""


class Names:
    """`undefined` are the uses of a name that no scope around them binds.

    In doubt a name is taken as bound: a scope binds it for all of its lines.
    """

    def __init__(self, module: Module) -> None:
        self._module = module
        self._scopes: dict[ast.AST, ast.AST] = {}
        self._bound: dict[ast.AST, set[str]] = {}
        self._nodes = [module.tree, *module.parents] if module.tree is not None else []
        for node in self._nodes:
            above = module.parents.get(node, node)
            if above is node or (isinstance(above, _SCOPES) and not _is_outside(node, above)):
                self._scopes[node] = above
            elif isinstance(above, ast.arguments) and not isinstance(node, ast.arg):
                self._scopes[node] = self._scopes[module.parents[above]]  # a default
            elif isinstance(above, ast.comprehension):
                inner = self._scopes[above]
                is_first = node is inner.generators[0].iter  # type: ignore[attr-defined]
                self._scopes[node] = self._scopes[inner] if is_first else inner
            else:
                self._scopes[node] = self._scopes[above]
        for node in self._nodes:
            self._bound.setdefault(self._holder(node), set()).update(bindings(node))
            if isinstance(node, ast.Global) and module.tree is not None:
                self._bound.setdefault(module.tree, set()).update(node.names)

    def undefined(self) -> Iterator[ast.Name]:
        """The first use of each; none where a file binds names in ways that no tree shows."""
        module = self._module
        if module.has_star_import or any(n.id in _GIVES_NAMES for n in module.every(ast.Name)):
            return
        seen: set[str] = set()
        for node in self._nodes:
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
                continue
            if node.id in seen or node.id in _ALWAYS_THERE or self._binder(node) is not None:
                continue
            if not self._is_annotation(node) and not self._is_tried(node):
                seen.add(node.id)
                yield node

    def under_guard_only(self, functions: Iterable[str]) -> Iterator[ast.Name]:
        """The first use, in these functions and what they use of the file, of each name that only
        the main guard binds: whoever imports the file finds none of them."""
        guarded = {n for guard in self._module.guards for s in guard.body for n in ast.walk(s)}
        early: set[str] = set()
        for node in self._nodes:
            if isinstance(node, ast.Global):
                early.update(node.names)
            elif node not in guarded and self._holder(node) is self._module.tree:
                early.update(bindings(node))
        for node in self._reached(functions):
            if self._binder(node) is self._module.tree and node.id not in early:
                early.add(node.id)
                yield node

    def _reached(self, functions: Iterable[str]) -> Iterator[ast.Name]:
        """Names that these functions use, and the functions and classes that they use so."""
        defined: dict[str, ast.AST] = {
            s.name: s
            for s in self._module.top
            if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        }
        waiting = [name for name in functions if name in defined]
        seen = set(waiting)
        while waiting:
            for node in ast.walk(defined[waiting.pop(0)]):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                    yield node
                    is_ours = node.id in defined and self._binder(node) is self._module.tree
                    if is_ours and node.id not in seen:
                        seen.add(node.id)
                        waiting.append(node.id)

    def _holder(self, node: ast.AST) -> ast.AST:
        """The scope that a binding belongs to: `:=` in a comprehension binds around it."""
        scope = self._scopes[node]
        above = self._module.parents.get(node)
        if isinstance(above, ast.NamedExpr) and above.target is node:
            while isinstance(scope, _COMPREHENSIONS):
                scope = self._scopes[scope]
        return scope

    def _binder(self, node: ast.Name) -> ast.AST | None:
        """The scope whose name this is. A class lends its names to none but its own lines."""
        scope, is_inner = self._scopes[node], True
        while True:
            if node.id in self._bound.get(scope, ()) and (
                is_inner or not isinstance(scope, ast.ClassDef)
            ):
                return scope
            is_inner = is_inner and isinstance(scope, _COMPREHENSIONS)
            around = self._scopes[scope]
            if around is scope:
                return None
            scope = around

    def _is_annotation(self, node: ast.AST) -> bool:
        inner: ast.AST = node
        for above in self._module.around(node):
            if inner in (getattr(above, "annotation", None), getattr(above, "returns", None)):
                return True
            inner = above
        return False

    def _is_tried(self, node: ast.AST) -> bool:
        """In a `try` that is ready for a NameError."""
        return any(
            isinstance(n, ast.Name) and n.id == "NameError"
            for above in self._module.around(node)
            if isinstance(above, ast.Try)
            for handler in above.handlers
            if handler.type is not None
            for n in ast.walk(handler.type)
        )


def _is_outside(node: ast.AST, scope: ast.AST) -> bool:
    """Whether the scope's child is evaluated around it: a decorator, a base class, an annotation
    of what is returned."""
    outside = [
        *getattr(scope, "decorator_list", ()),
        *getattr(scope, "bases", ()),
        *getattr(scope, "keywords", ()),
    ]
    return node in outside or node is getattr(scope, "returns", None)


def bindings(node: ast.AST) -> Iterator[str]:
    """Names that this node binds in its scope."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    else:  # plain texts in the tree: of definitions, handlers, patterns, type parameters
        for field in ("name", "rest"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value
