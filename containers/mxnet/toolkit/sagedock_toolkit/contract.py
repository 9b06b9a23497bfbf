"""Which contract runs a script, and which one was it written for?

The framework version that was asked for decides which contract runs (AWS's own rule: script mode
from 1.3 on). The script itself is read, never run, where no version is known, and to warn when it
was written for the other contract: a wrong guess costs a silent success without any training.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from enum import Enum

ARGUMENTS = (
    "hyperparameters",
    "input_data_config",
    "channel_input_dirs",
    "output_data_dir",
    "model_dir",
    "num_gpus",
    "num_cpus",
    "hosts",
    "current_host",
)
"""What the legacy contract passes to `train`: the complete list (train.py, kwargs_for_training)."""


class Contract(Enum):
    """How AWS's training images run user code; the value is its name in the log."""

    LEGACY = "a legacy job: its function train() is called"
    EARLY_SCRIPT = "a script-mode job of the early kind: python -m module"
    SCRIPT = "a script-mode job: the script is run as a program"

    @classmethod
    def of_version(cls, version: tuple[int, ...]) -> Contract:
        """The contract of the image of this framework version."""
        if version < (1, 3):
            return cls.LEGACY
        return cls.EARLY_SCRIPT if version < (1, 4, 1) else cls.SCRIPT


_READS_ARGUMENTS = re.compile(r"argparse|SM_[A-Z]|sys\.argv|optparse|click|absl")


def looks_legacy(path: str) -> bool | None:
    """True: written for the legacy contract; False: for script mode; None: nothing to go by.

    A top-level `train` that takes legacy arguments means legacy, unless there is a main guard: many
    scripts of script mode keep a `train` of their own. A guard that does nothing but call `train`,
    in a file that reads no arguments, is the debugging aid that AWS's legacy documentation advised.
    """
    if not path.endswith(".py") or os.path.exists(os.path.join(os.path.dirname(path), "setup.py")):
        return False
    try:
        with open(path, "rb") as file:
            source = file.read()
        tree = ast.parse(source)
    except OSError:
        return None
    except (SyntaxError, ValueError):
        return _looks_legacy_by_words(source.decode("utf-8", "replace"))
    return _judge(tree.body, source.decode("utf-8", "replace"))


def _judge(body: Sequence[ast.stmt], source: str) -> bool | None:
    trains = [s for s in body if isinstance(s, ast.FunctionDef) and s.name == "train"]
    is_legacy = bool(trains) and _takes_legacy_arguments(trains[-1].args)
    guards = [s for s in body if isinstance(s, ast.If) and _tests_name(s.test)]
    if guards:
        only_debugs = all(_calls_train(s) for guard in guards for s in guard.body)
        return is_legacy and only_debugs and not _READS_ARGUMENTS.search(source)
    if is_legacy:
        return True
    return False if any(_does_something(s) for s in body) else None


def _takes_legacy_arguments(arguments: ast.arguments) -> bool:
    """Only the nine names, or others with defaults; `**kwargs` takes the rest."""
    positional = [*getattr(arguments, "posonlyargs", []), *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    required += [a for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults) if d is None]
    known = any(a.arg in ARGUMENTS for a in [*positional, *arguments.kwonlyargs])
    return all(a.arg in ARGUMENTS for a in required) and (known or arguments.kwarg is not None)


def _tests_name(test: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(test))


def _calls_train(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    function = getattr(value, "func", None)
    return isinstance(function, ast.Name) and function.id == "train"


def _does_something(statement: ast.stmt) -> bool:
    """Whether a top-level statement is more than a definition, an import, a constant or a text."""
    if isinstance(statement, (ast.For, ast.While, ast.With)):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)


def _looks_legacy_by_words(source: str) -> bool | None:
    """For a script that this Python cannot parse (Python 2)."""
    if re.search(r"^if\s+__name__\s*==", source, re.MULTILINE):
        return False
    return True if re.search(r"^def\s+train\s*\(", source, re.MULTILINE) else None
