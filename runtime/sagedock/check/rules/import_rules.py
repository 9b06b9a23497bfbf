"""Rules on imports from the script's own folder."""

from __future__ import annotations

import ast

from sagedock.check.rules.rule import ScriptRule, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module
from sagedock.check.subjects.script import Script
from sagedock.check.target import Target


def relative_import(script: Script, target: Target) -> Hits:
    """A module has as many packages around it as folders between it and the source folder."""
    for module in script.modules:
        within = len(module.path.relative_to(script.root).parts) - 1
        for found in module.imports:
            if found.level <= within or _has_another_way(module, found.node):
                continue
            dots = "." * found.level
            if within:
                told = f"`{dots}` leads above the source folder, where no package is"
            else:
                told = f"`from {dots}{found.module}` needs a package around this file"
            yield Hit.at(module, found.node, told)


def _has_another_way(module: Module, node: ast.AST) -> bool:
    """In a `try`, or under a condition such as `if __package__`."""
    return any(
        isinstance(above, (ast.Try, ast.If)) and above not in module.guards
        for above in module.around(node)
    )


def _run_as_a_file(script: Script, target: Target) -> str:
    if script.entry.path.name == "__main__.py" and not target.declared:
        return "a __main__.py is run with its package, by an image of one's own"
    return needs_syntax(script, target)


_SAVES = 'print(net, file=open(os.path.join(os.environ["SM_MODEL_DIR"], "net"), "w"))\n'

RULES = (
    ScriptRule(
        id="SD137",
        name="relative-import",
        level="error",
        sentence="The entry point and the files beside it are in no package.",
        cloud="ImportError: attempted relative import with no known parent package. Training runs "
        "the file as a program, serving imports it by its bare name.",
        fix="Import by name: `from model import net`. /opt/ml/code is on sys.path.",
        failing=f"import os\n\nfrom .model import net\n\n{_SAVES}",
        passing=f"import os\n\nfrom model import net\n\n{_SAVES}",
        sources=("sagemaker-training-toolkit process.py: `python train.py`",
                 "mlfoundations/open_lm#143"),
        check=relative_import,
        skips=_run_as_a_file,
    ),
)  # fmt: skip
