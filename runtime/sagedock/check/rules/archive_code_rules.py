"""Rules on code/ of a model.tar.gz, and the files that it reads from it."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator

from sagedock.check.rules.artifact_rules import ArtifactRule, wrong_level
from sagedock.check.subjects.archive import Archive
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module, positional
from sagedock.check.subjects.paths import Paths
from sagedock.check.target import Target

_MODEL = "/opt/ml/model"
_READS = re.compile(r"open|(read|load)_\w+|load|imports|import_model|import_to_gluon")
"""Functions whose first argument is a file that has to be there."""
_MAKES = re.compile(
    r"extract\w*|unpack\w*|download\w*|urlretrieve|system|run|check_\w+|call|Popen|copy\w*|move|"
    r"rename|save\w*|export|dump|symlink|write\w*|exists|isfile|isdir|is_file|is_dir|glob|listdir"
)
"""What may put a file there, or asks what there is."""


def file_not_there(archive: Archive, target: Target) -> Hits:
    code = archive.code
    function = code.functions.get("model_fn") if code is not None else None
    if code is None or function is None or any(wrong_level(archive, target)):
        return
    called = {getattr(c.func, "attr", getattr(c.func, "id", "")) for c in code.calls}
    if any(_MAKES.fullmatch(name) for name in called):
        return
    stored = {n.id for n in ast.walk(function) if isinstance(getattr(n, "ctx", None), ast.Store)
              and isinstance(n, ast.Name)}  # fmt: skip
    given = [argument.arg for argument in positional(function)[:1]]
    folder = {name: _MODEL for name in given if name not in stored}
    paths = Paths(code, folder)
    for node in ast.walk(function):
        for part, wanted in _read(node, code, paths):
            name = posixpath.relpath(posixpath.normpath(wanted), _MODEL)
            is_ours = posixpath.normpath(wanted).startswith(f"{_MODEL}/")
            if is_ours and not _has(archive, name) and not _is_under_condition(code, node):
                told = f"model_fn reads {name}, which is not in the archive"
                yield Hit.at(code, part, f"{told}: it has {_others(archive)}")


def _read(node: ast.AST, code: Module, paths: Paths) -> Iterator[tuple[ast.AST, str]]:
    """Files that the call opens for reading, each with the expression that names it."""
    if not isinstance(node, ast.Call):
        return
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    first = node.args[0] if node.args else None
    path = paths.text(first)
    if first is None or path is None:
        return
    if name in ("load", "load_checkpoint") and len(node.args) > 1:
        epoch = getattr(node.args[1], "value", None)
        if isinstance(epoch, int) and not isinstance(epoch, bool):  # MXNet's: a prefix, an epoch
            yield first, f"{path}-symbol.json"
            yield first, f"{path}-{epoch:04d}.params"
    elif _READS.fullmatch(name) and not _writes(node):
        yield first, path
        if name == "imports" and len(node.args) > 2:
            parameters = paths.text(node.args[2])
            if parameters is not None:
                yield node.args[2], parameters


def _has(archive: Archive, name: str) -> bool:
    return name in archive.names or any(file.startswith(f"{name}/") for file in archive.files)


def _writes(call: ast.Call) -> bool:
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return any(not re.match("[rt]?[bt+]*$", str(getattr(m, "value", "w"))) for m in modes) and (
        getattr(call.func, "id", getattr(call.func, "attr", "")) == "open"
    )


def _is_under_condition(code: Module, node: ast.AST) -> bool:
    return any(isinstance(a, (ast.If, ast.IfExp, ast.Try, ast.For)) for a in code.around(node))


def _others(archive: Archive) -> str:
    names = sorted(n for n in archive.files if not n.startswith("code/"))
    told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return told or "nothing but code/"


def _needs_code(archive: Archive, target: Target) -> str:
    if archive.trouble:
        return "cannot be unpacked: see SD301"
    code = archive.code
    return "" if code is not None and code.tree is not None else "has no code/ that could be read"


_CODE = """mkdir -p export/code
cat > export/code/inference.py << 'END'
import os

import mxnet as mx


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "best.params"))
    return net
END
"""

RULES = (
    ArtifactRule(
        id="SD310",
        name="file-not-there",
        level="error",
        sentence="The files that model_fn reads are in the archive.",
        cloud="FileNotFoundError in model_fn: every request answers 500, or the endpoint is "
        "Failed.",
        fix="Pack the file by the name that model_fn reads, or read the one that is there.",
        failing=f"{_CODE}touch export/net.params\ntar -czf model.tar.gz -C export .\n",
        passing=f"{_CODE}touch export/best.params\ntar -czf model.tar.gz -C export .\n",
        sources=("aws-samples/amazon-sagemaker-local-mode#15", "aws/sagemaker-python-sdk#846",
                 "aws-samples/end-to-end-object-detection-detectron2-sagemaker#1"),
        check=file_not_there,
        skips=_needs_code,
    ),
)  # fmt: skip
