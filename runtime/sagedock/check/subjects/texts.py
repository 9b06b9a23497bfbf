"""Which expressions hold text although a number is meant: arguments, variables, raw files.

Followed through assignments and calls within one file, and only where every way leads to text: a
name that is assigned twice may have been converted.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from sagedock.check.subjects.module import Function, Module, positional, text_of

Kind = Literal["argument", "variable", "hyperparameter"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a text comes from: an untyped argument, an environment variable, the raw
    hyperparameters.json."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Argument:
    """One add_argument: `names` as written, `dest` as argparse calls it."""

    call: ast.Call
    names: tuple[str, ...]
    dest: str
    options: dict[str, ast.expr]

    @property
    def name(self) -> str:
        """As a hyperparameter would spell it: the long one."""
        return next((name for name in self.names if name.startswith("--")), self.names[-1])

    @property
    def is_positional(self) -> bool:
        return not self.names[0].startswith("-")

    @property
    def is_plain_text(self) -> bool:
        """One string: no type but str, no action, no list, and no default that says text is meant.

        A default that is computed, such as int(os.environ["SM_NUM_GPUS"]), belongs to an argument
        that no job passes.
        """
        if {"action", "nargs", "choices"} & set(self.options):
            return False
        if "type" in self.options and getattr(self.options["type"], "id", "") != "str":
            return False
        default = self.options.get("default")
        if isinstance(default, ast.UnaryOp):
            default = default.operand
        if default is None:
            return True
        if isinstance(default, ast.Constant):
            return not isinstance(default.value, str)
        return self.default_name is not None

    @property
    def default_name(self) -> str | None:
        """NAME of a default that is `os.environ["NAME"]` and no more."""
        default = self.options.get("default")
        if isinstance(default, ast.Subscript) and ast.unparse(default.value).endswith("environ"):
            return text_of(default.slice)
        if isinstance(default, ast.Call) and default.args:
            called = ast.unparse(default.func)
            is_read = called.endswith(("environ.get", "getenv"))
            return text_of(default.args[0]) if is_read else None
        return None


@lru_cache(maxsize=64)
def arguments(module: Module) -> tuple[Argument, ...]:
    """All options and positionals that the module gives argparse parsers. Once a module: several
    rules ask."""
    if "argparse" not in module.packages:
        return ()
    found = []
    for call in module.calls:
        if not (isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"):
            continue
        names = tuple(name for a in call.args if (name := text_of(a)) is not None)
        options = {k.arg: k.value for k in call.keywords if k.arg}
        if names and len(options) == len(call.keywords):
            found.append(Argument(call, names, _dest(names, options), options))
    return tuple(found)


def _dest(names: tuple[str, ...], options: dict[str, ast.expr]) -> str:
    if (told := text_of(options.get("dest"))) is not None:
        return told
    long = next((name for name in names if name.startswith("--")), names[0])
    return long.lstrip("-").replace("-", "_")


def environment_name(module: Module, node: ast.AST) -> str | None:
    """NAME of `os.environ["NAME"]`, `os.environ.get("NAME", …)` and `os.getenv("NAME", …)`."""
    if isinstance(node, ast.Subscript) and module.dotted(node.value) == "os.environ":
        return text_of(node.slice)
    if isinstance(node, ast.Call) and module.dotted(node.func) in ("os.environ.get", "os.getenv"):
        return text_of(node.args[0]) if node.args else None
    return None


@lru_cache(maxsize=64)
def environment_reads(module: Module) -> tuple[tuple[ast.AST, str], ...]:
    """Every place that names a variable of the environment, with the name; those that set or
    delete one too."""
    places = (*module.every(ast.Subscript), *module.calls)
    found = ((place, environment_name(module, place)) for place in places)
    return tuple((place, name) for place, name in found if name)


def _parses_itself(node: ast.AST) -> bool:
    """`parser.parse_args()`, `parser.parse_known_args()`."""
    called = node.func if isinstance(node, ast.Call) else None
    return getattr(called, "attr", "") in ("parse_args", "parse_known_args")


Slot = tuple[ast.AST, str]
"""A name in its scope."""


class Texts:
    """Answers `origin(expression)` for one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._arguments = {a.dest: a for a in arguments(module)}
        self._names: dict[Slot, Origin] = {}
        self._spread()

    def origin(self, node: ast.AST) -> Origin | None:
        """Where the text that this expression holds comes from; None where it may be no text."""
        name = environment_name(self.module, node)
        if name is not None:
            return Origin("variable", name)
        if isinstance(node, ast.Attribute) and self._is(node.value, self._namespaces):
            return self._argument(node.attr)
        if isinstance(node, ast.Subscript):
            return self._entry(node.value, text_of(node.slice))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and node.args:
            assert isinstance(node.func, ast.Attribute)
            return self._entry(node.func.value, text_of(node.args[0]))
        if isinstance(node, ast.Name):
            return self._names.get(self._slot(node))
        return None

    def _argument(self, dest: str) -> Origin | None:
        argument = self._arguments.get(dest)
        if argument is None or not argument.is_plain_text or dest in self._converted:
            return None
        return Origin("argument", argument.name)

    def _entry(self, value: ast.AST, key: str | None) -> Origin | None:
        if key is None:
            return None
        if self._is(value, self._raw_files):
            return Origin("hyperparameter", key)
        if isinstance(value, ast.Call) and self.module.dotted(value.func) == "vars":
            value = value.args[0] if value.args else value
            return self._argument(key) if self._is(value, self._namespaces) else None
        return self._argument(key) if self._is(value, self._variables_of) else None

    @cached_property
    def _converted(self) -> set[str]:
        """Arguments that the script itself assigns: `args.epochs = int(args.epochs)`."""
        stored = {
            node.attr
            for node in self.module.every(ast.Attribute)
            if isinstance(node.ctx, ast.Store)
        }
        set_by_name = {
            key
            for call in self.module.calls
            if self.module.dotted(call.func) == "setattr" and len(call.args) > 1
            for key in [text_of(call.args[1])]
            if key
        }
        return stored | set_by_name

    def _slot(self, name: ast.Name) -> Slot:
        scope = self.module.scope(name)
        if (scope, name.id) in self._assignments or name.id in self._parameters(scope):
            return scope, name.id
        assert self.module.tree is not None
        return self.module.tree, name.id

    def _parameters(self, scope: ast.AST) -> set[str]:
        if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            every = [*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs]
            return {a.arg for a in every}
        return set()

    def _is(self, node: ast.AST, slots: set[Slot]) -> bool:
        return isinstance(node, ast.Name) and self._slot(node) in slots

    @cached_property
    def _assignments(self) -> dict[Slot, list[ast.AST | None]]:
        """Every value a name is given; None for a loop, a `with`, an unpacking, unless it is of
        what reads the command line: `args, _ = parser.parse_known_args()`."""
        return self._values_given(self.parses)

    @cached_property
    def _plain_assignments(self) -> dict[Slot, list[ast.AST | None]]:
        """The same without a look into functions: that is what these are asked for."""
        return self._values_given(_parses_itself)

    def _values_given(self, parses: Callable[[ast.AST], bool]) -> dict[Slot, list[ast.AST | None]]:
        found: dict[Slot, list[ast.AST | None]] = {}
        for node in self.module.every(ast.Name):
            if isinstance(node.ctx, ast.Store):
                above = self.module.parents[node]
                value: ast.AST | None = None
                if isinstance(above, (ast.Assign, ast.AnnAssign)):
                    value = above.value
                if isinstance(above, ast.Tuple) and above.elts[0] is node:
                    around = self.module.parents[above]
                    unpacked = around.value if isinstance(around, ast.Assign) else None
                    value = unpacked if unpacked is not None and parses(unpacked) else None
                found.setdefault((self.module.scope(node), node.id), []).append(value)
        return found

    def is_namespace(self, node: ast.AST) -> bool:
        """Whether this is what parse_args() gave: all arguments together."""
        return self._is(node, self._namespaces)

    def parses(self, node: ast.AST) -> bool:
        """Whether this call reads the command line, by itself or by a function of this file."""
        if _parses_itself(node):
            return True
        if not isinstance(node, ast.Call):
            return False
        called = self.module.functions.get(getattr(node.func, "id", ""))
        return called is not None and self._returns_arguments(called)

    def _returns_arguments(self, function: Function) -> bool:
        """Whether it ends with `return parser.parse_args()`, or with a name given that."""
        returned = [n.value for n in ast.walk(function) if isinstance(n, ast.Return) and n.value]
        if len(returned) != 1:
            return False
        value: ast.AST | None = returned[0]
        if isinstance(value, ast.Name):
            given = self._plain_assignments.get((function, value.id), [])
            value = given[0] if len(given) == 1 else None
        # Only the method itself counts here: functions may return one another's results in a ring.
        return value is not None and _parses_itself(value)

    @cached_property
    def _namespaces(self) -> set[Slot]:
        return self._holding(self.parses)

    @cached_property
    def _variables_of(self) -> set[Slot]:
        """`options = vars(args)`."""

        def is_vars(node: ast.AST) -> bool:
            if not (isinstance(node, ast.Call) and self.module.dotted(node.func) == "vars"):
                return False
            given = node.args[0] if node.args else node
            return self.parses(given) or self._is(given, self._namespaces)

        return self._holding(is_vars)

    @cached_property
    def _raw_files(self) -> set[Slot]:
        """`with open(".../hyperparameters.json") as f: hp = json.load(f)`."""
        if "hyperparameters.json" not in self.module.text:
            return set()

        def is_loaded(node: ast.AST) -> bool:
            if not (isinstance(node, ast.Call) and self.module.dotted(node.func) == "json.load"):
                return False
            near = next((a for a in self.module.around(node) if isinstance(a, ast.With)), node)
            return "hyperparameters.json" in ast.unparse(near)

        return self._holding(is_loaded)

    def _holding(self, is_source: object) -> set[Slot]:
        """Names given nothing but such a value, and parameters given nothing but such names."""
        assert callable(is_source)
        slots = {
            slot
            for slot, values in self._assignments.items()
            if all(value is not None and is_source(value) for value in values)
        }
        for _ in range(4):
            for function, parameter, given in self._given:
                if given and all(
                    is_source(v) or (isinstance(v, ast.Name) and self._slot(v) in slots)
                    for v in given
                ):
                    slots.add((function, parameter))
        return slots

    @cached_property
    def _given(self) -> list[tuple[Function, str, list[ast.expr]]]:
        """What the file's own calls give each parameter of its top-level functions."""
        found = []
        by_name: dict[str, list[ast.Call]] = {}
        for call in self.module.calls:
            if isinstance(call.func, ast.Name):
                by_name.setdefault(call.func.id, []).append(call)
        for name, function in self.module.functions.items():
            calls = by_name.get(name, [])
            for place, parameter in enumerate(positional(function)):
                if (function, parameter.arg) in self._assignments:
                    continue
                given = [_given(call, place, parameter.arg) for call in calls]
                if given and None not in given:
                    found.append((function, parameter.arg, [g for g in given if g is not None]))
        return found

    def _spread(self) -> None:
        for _ in range(4):
            for slot, values in self._assignments.items():
                value = values[0] if len(values) == 1 else None
                origin = self.origin(value) if value is not None else None
                if origin is not None:
                    self._names[slot] = origin
            for function, parameter, given in self._given:
                origins = [self.origin(value) for value in given]
                if all(origins) and origins[0] is not None:
                    self._names[function, parameter] = origins[0]


def _given(call: ast.Call, place: int, name: str) -> ast.expr | None:
    if any(isinstance(a, ast.Starred) for a in call.args) or any(not k.arg for k in call.keywords):
        return None
    named = next((k.value for k in call.keywords if k.arg == name), None)
    return call.args[place] if place < len(call.args) else named


@lru_cache(maxsize=64)
def texts_of(module: Module) -> Texts:
    """Once a module: several rules ask."""
    return Texts(module)
