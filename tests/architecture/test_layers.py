"""The house is executable: who may import whom, and which library comes in by which door.

The tables below are the rules; runtime/README.md draws the same picture. A wall is moved by
changing a table here, with its reason in runtime/DECISIONS.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "runtime" / "sagedock"
CHECK = PACKAGE / "check"
TOOLKIT = ROOT / "containers" / "mxnet" / "toolkit" / "sagedock_toolkit"

LEAVES = {"errors", "settings"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "settings": {"errors"},
    "home": {"errors"},
    "archives": {"errors"},
    "client_environment": set(),
    "domain": {"errors"},
    "check": {"domain", "aws", "backends", "lifecycle", "archives", "errors"},
    "aws": {"errors"},
    "store": {"domain", "errors"},
    "backends": {"domain", "archives", "errors"},
    "lifecycle": {"domain", "store", "backends", "archives", "errors"},
    "services": {"domain", "store", "lifecycle", "aws", "errors"},
    "server": {"services", "lifecycle", "domain", "store", "aws", "errors", "settings"},
    "emulator": {
        "domain", "store", "backends", "lifecycle", "services", "aws", "server", "home",
        "client_environment", "errors", "settings",
    },
    "cli": {
        "emulator", "backends", "domain", "home", "client_environment", "services", "server",
        "check", "errors", "settings",
    },
    "pytest_plugin": {"emulator", "check", "settings", "errors"},
}  # fmt: skip
"""Room → rooms below it. A room may always import itself, and the package's own __version__."""

CHECK_MAY_IMPORT: dict[str, set[str]] = {
    "findings": set(),
    "subjects": {"findings"},
    "target": {"subjects"},
    "wanted": {"subjects"},
    "configuration": {"wanted"},
    "submission": {"subjects", "target", "wanted"},
    "rules": {"findings", "subjects", "target"},
    "checker": {"findings", "subjects", "target", "rules"},
    "reports": {"findings", "subjects", "target", "rules"},
    "runs": {"findings", "subjects", "target", "rules", "wanted", "checker"},
    "whole": {
        "findings",
        "subjects",
        "target",
        "rules",
        "wanted",
        "submission",
        "checker",
        "runs",
    },
}
"""Likewise within check/: what is looked at, the rules, what runs, and the reports."""

DOORS: dict[str, set[str]] = {
    "botocore": {"aws/model.py", "cli/client.py", "cli/logs.py", "cli/invoke.py"},
    "sqlite3": {"store"},
    "fastapi": {"server"},
    "starlette": {"server"},
    "uvicorn": {"server"},
    "httptools": {"server"},
    "cryptography": {"server/certificates.py"},
    "docker": {"backends/docker"},
    "requests": {"backends/docker"},
    "urllib3": {"backends/docker"},
    "pynvml": {"backends/gpus.py"},
    "pydantic": {"settings.py"},
    "uv": {"backends"},
    "click": {"cli"},
    "numpy": {"cli/invoke.py"},
    "PIL": {"cli/invoke.py"},
    "certifi": {"server/bundles.py"},
    "typing_extensions": {"domain", "emulator.py", "store", "backends", "server", "services"},
    "tomli": {"backends", "domain/families.py"},
    "pytest": {"pytest_plugin.py"},
    "boto3": {"pytest_plugin.py"},
}
"""Third-party library → files or folders that may import it."""


def _modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def _imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(module, line, inside a function) of every import that runs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [
        node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    hidden = {id(inner) for function in functions for inner in ast.walk(function)}
    checked_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checked_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in hidden
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield node.module or "", node.lineno, id(node) in hidden


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _rooms_imported(path: Path) -> Iterator[tuple[str, int]]:
    for module, line, _ in _imports(path):
        parts = module.split(".")
        if parts[0] == "sagedock" and len(parts) > 1:
            yield parts[1], line


@pytest.mark.parametrize("path", _modules(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_rooms_below_its_own(path: Path) -> None:
    room = _room(path)
    if room in ("__init__", "__main__"):
        return
    assert room in MAY_IMPORT, f"{room} is in no row of MAY_IMPORT: where does it belong?"
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"line {line}: {there}" for there, line in _rooms_imported(path) if there not in allowed
    ]
    assert not wrong, f"{room} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", _modules(CHECK), ids=lambda p: str(p.relative_to(CHECK)))
def test_a_module_of_the_check_imports_only_from_rooms_below_its_own(path: Path) -> None:
    room = path.relative_to(CHECK).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    allowed = CHECK_MAY_IMPORT[room] | {room}
    wrong = []
    for module, line, _ in _imports(path):
        _, here, there = module.partition("sagedock.check.")
        if here and there.partition(".")[0] not in allowed:
            wrong.append(f"line {line}: {there}")
    assert not wrong, f"{room} may import {sorted(allowed)}"


@pytest.mark.parametrize("path", _modules(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_library_comes_in_by_its_own_door(path: Path) -> None:
    here = path.relative_to(PACKAGE).as_posix()
    for module, line, _ in _imports(path):
        library = module.partition(".")[0]
        if library in sys.stdlib_module_names and library != "sqlite3":
            continue
        if library == "sagedock":
            continue
        assert library in DOORS, f"line {line}: {library} has no door"
        doors = DOORS[library]
        assert any(here == door or here.startswith(f"{door}/") for door in doors), (
            f"line {line}: {library} may be imported in {sorted(doors)} only"
        )


@pytest.mark.parametrize("path", _modules(PACKAGE), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_import_of_our_own_hides_in_a_function(path: Path) -> None:
    if path.name == "pytest_plugin.py":
        return  # loaded by every pytest of whoever has sagedock installed: it must cost nothing
    hidden = [
        f"line {line}: {module}"
        for module, line, inside in _imports(path)
        if inside and module.startswith("sagedock")
    ]
    assert not hidden


def test_emulator_and_toolkit_share_nothing_but_the_contract() -> None:
    for root, other in ((PACKAGE, "sagedock_toolkit"), (TOOLKIT, "sagedock")):
        for path in _modules(root):
            names = {module.partition(".")[0] for module, _, _ in _imports(path)}
            assert other not in names, f"{path} imports {other}"


def test_there_are_no_import_cycles() -> None:
    graph = {_dotted(path): set(_targets(path)) for path in _modules(PACKAGE)}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail[trail.index(module) :], module))
        if module in done:
            return
        for target in graph.get(module, ()):
            visit(target, (*trail, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_the_toolkit_needs_nothing_but_the_standard_library_numpy_and_mxnet() -> None:
    allowed = {"numpy", "mxnet", "boto3", "sagedock_toolkit"}
    for path in _modules(TOOLKIT):
        for module, line, _ in _imports(path):
            library = module.partition(".")[0]
            known = library in sys.stdlib_module_names or library in allowed | {"distutils"}
            assert known, f"{path.name} line {line}: {library}"


def test_a_rule_with_no_module_is_out_of_date() -> None:
    rooms = {_room(path) for path in _modules(PACKAGE)}
    assert set(MAY_IMPORT) <= rooms, sorted(set(MAY_IMPORT) - rooms)


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(path: Path) -> Iterator[str]:
    """Modules of ours that this one needs at import: of `from package import module` the module,
    not the package around it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    runs = {line for _, line, inside in _imports(path) if not inside}
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or node.lineno not in runs:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("sagedock."))
        elif (node.module or "").startswith("sagedock."):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if _is_module(name) else str(node.module)


def _is_module(name: str) -> bool:
    file = PACKAGE.parent / Path(*name.split("."))
    return file.with_suffix(".py").exists() or (file / "__init__.py").exists()
