"""Rules on what the container runs: train, the main guard, what it imports."""

from __future__ import annotations

import ast
import re

from sagedock.check.rules.rule import ScriptRule, needs_legacy, needs_script_mode, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module, required, text_of
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import environment_name
from sagedock.check.subjects.words import words
from sagedock.check.target import OTHER_FRAMEWORKS, TRAIN_ARGUMENTS, Target

SERVING = ("model_fn", "transform_fn", "input_fn", "predict_fn", "output_fn")

_CALLED_ELSEWHERE = words(
    """
    handler input_handler output_handler handle preprocess_handler neo_preprocess
    neo_postprocess lambda_handler estimator_fn keras_model_fn train_input_fn eval_input_fn
    serving_input_fn
    """
)
"""Functions and methods by which other containers call a file that is no program: TensorFlow
Serving's, Multi Model Server's and DJL's, Model Monitor's, Neo's; and TensorFlow's of before
script mode."""


def nothing_to_call(script: Script, target: Target) -> Hits:
    entry = script.entry
    if "train" in entry.bound or entry.has_star_import or only_serves(entry):
        return
    yield Hit.at(
        entry, first_definition(entry), "there is no function `train`, and this version calls it"
    )


def nothing_runs(script: Script, target: Target) -> Hits:
    entry = script.entry
    if entry.guards or entry.acts or only_serves(entry) or entry.has_star_import:
        return
    if not target.declared and _is_called_elsewhere(entry):
        return
    if target.declared != "script" and "train" in entry.functions:
        return
    place = entry.functions.get("train") or first_definition(entry)
    yield Hit.at(entry, place, "nothing runs: this file only defines")


def _is_called_elsewhere(entry: Module) -> bool:
    """Whether a container that is not asked for here calls the file: its functions, the `handle`
    of a class, or the web application that answers SageMaker's two paths."""
    methods = {
        method.name
        for s in entry.top
        if isinstance(s, ast.ClassDef)
        for method in s.body
        if isinstance(method, ast.FunctionDef)
    }
    answers = any(text_of(node) in ("/ping", "/invocations") for node in entry.every(ast.Constant))
    return answers or not _CALLED_ELSEWHERE.isdisjoint({*entry.functions, *methods})


def train_parameters(script: Script, target: Target) -> Hits:
    function = script.entry.functions.get("train")
    for argument in required(function) if function else []:
        if argument.arg not in TRAIN_ARGUMENTS:
            told = f"`train` requires `{argument.arg}`, which no container passes"
            yield Hit.at(script.entry, argument, told)


def import_trains(script: Script, target: Target) -> Hits:
    entry = script.entry
    if not any(name in entry.functions for name in SERVING):
        return
    for statement in entry.acts:
        for call in (n for n in ast.walk(statement) if isinstance(n, ast.Call)):
            name = getattr(call.func, "id", getattr(call.func, "attr", ""))
            if name in ("parse_args", "parse_known_args", "train", "main", "fit"):
                told = f"`{name}()` runs when this file is imported, and serving imports it"
                yield Hit.at(entry, call, told)
                break


def variable_at_import(script: Script, target: Target) -> Hits:
    for module in script.served:
        if not any(name in module.functions for name in SERVING):
            continue
        for node in module.every(ast.Subscript):
            name = environment_name(module, node)
            if name is None or not re.match(r"SM_[A-Z]", name) or not _at_import(module, node):
                continue
            yield Hit.at(module, node, f"{name} is read at import, and serving has no {name}")


def _at_import(module: Module, node: ast.AST) -> bool:
    """Read, in no function, under no condition, no guard and no `try`."""
    inside = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.If, ast.Try, ast.IfExp)
    stored = isinstance(getattr(node, "ctx", None), ast.Store)
    return not stored and not any(isinstance(above, inside) for above in module.around(node))


def never_trains(module: Module) -> bool:
    """Whether it only serves: a main guard that reads what a job passes may train."""
    return only_serves(module) and not (module.guards and module.reads_arguments)


def only_serves(module: Module) -> bool:
    has_serving = any(name in module.functions for name in SERVING)
    return has_serving and "train" not in module.functions


def first_definition(module: Module) -> ast.AST:
    """The first definition: a better place than line 1 for what is missing."""
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)
    return next((s for s in module.body if isinstance(s, defined)), ast.Module([], []))


def _legacy_declared(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    return "" if target.declared == "legacy" else "needs --framework-version up to 1.2.1"


def _script_or_unknown(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    return "" if target.generation(script.entry) != "legacy" else "is about script mode"


def _served_by_mxnet(script: Script, target: Target) -> str:
    if reason := needs_script_mode(script, target):
        return reason
    other = OTHER_FRAMEWORKS & script.entry.packages and not target.is_mxnet(script.entry)
    return "another framework's images may serve another file" if other else ""


_OLD = Target(framework_version="1.2.1")
_NEW = Target(framework_version="1.9.0")

RULES = (
    ScriptRule(
        id="SD101",
        name="nothing-to-call",
        level="error",
        sentence="A legacy version calls `train`, and the script has none.",
        cloud="AttributeError: module has no attribute 'train'; the job is Failed, exit code 1.",
        fix="Define `train(hyperparameters, channel_input_dirs, …)`, or declare a version from "
        "1.3 on.",
        failing='import argparse\n\n\ndef main(args):\n    print(args)\n\n\n'
        'if __name__ == "__main__":\n'
        "    main(argparse.ArgumentParser().parse_args())\n",
        passing='def train(hyperparameters):\n    return {"weights": [hyperparameters["rate"]]}\n',
        sources=("aws/sagemaker-python-sdk#787", "sagemaker-mxnet-container 1.0 train.py"),
        check=nothing_to_call,
        skips=_legacy_declared,
        example=_OLD,
    ),
    ScriptRule(
        id="SD102",
        name="nothing-runs",
        level="error",
        sentence="Script mode runs the file as a program, and this one only defines functions.",
        cloud="The job is Completed within seconds, without any training, with an empty model.",
        fix='Call your training under `if __name__ == "__main__":`, with argparse and SM_* '
        "variables; or declare a version up to 1.2.1, which calls `train`.",
        failing="def train(hyperparameters, channel_input_dirs):\n    return hyperparameters\n",
        passing="import os\n\n\ndef train(model_dir):\n"
        '    open(os.path.join(model_dir, "weights"), "w").close()\n\n\n'
        'if __name__ == "__main__":\n    train(os.environ["SM_MODEL_DIR"])\n',
        sources=("aws/sagemaker-python-sdk#446", "aws/sagemaker-python-sdk#578",
                 "sagemaker-training-toolkit entry_point.py"),
        check=nothing_runs,
        skips=_script_or_unknown,
        example=_NEW,
    ),
    ScriptRule(
        id="SD103",
        name="train-parameters",
        level="error",
        sentence="Legacy containers pass nine arguments to `train`, by name, and no others.",
        cloud="TypeError: train() missing a required argument; the job is Failed.",
        fix=f"Take any of {', '.join(TRAIN_ARGUMENTS)}; give every other parameter a default.",
        failing="def train(hyperparameters, training_dir):\n    return training_dir\n",
        passing="def train(hyperparameters, channel_input_dirs, retries=3, **kwargs):\n"
        '    return channel_input_dirs["training"]\n',
        sources=("sagemaker-mxnet-container 1.0 train.py kwargs_for_training",
                 "aws/sagemaker-python-sdk#436"),
        check=train_parameters,
        skips=needs_legacy,
    ),
    ScriptRule(
        id="SD107",
        name="import-trains",
        level="error",
        sentence="Serving imports this file for its functions, and importing it trains.",
        cloud="The endpoint's workers run into argparse or the training, and it fails its health "
        "check or answers 500.",
        fix='Move it under `if __name__ == "__main__":`.',
        failing="import argparse\nimport os\n\n\ndef model_fn(model_dir):\n"
        "    return model_dir\n\n\n"
        "parser = argparse.ArgumentParser()\n"
        'parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))\n'
        "args = parser.parse_args()\n"
        'open(f"{args.model_dir}/weights", "wb").close()\n',
        passing="import argparse\nimport os\n\n\ndef model_fn(model_dir):\n"
        "    return model_dir\n\n\n"
        'if __name__ == "__main__":\n    parser = argparse.ArgumentParser()\n'
        '    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))\n'
        "    args = parser.parse_args()\n"
        '    open(f"{args.model_dir}/weights", "wb").close()\n',
        sources=("aws/amazon-sagemaker-examples#379", "aws/sagemaker-python-sdk#1554"),
        check=import_trains,
        skips=_served_by_mxnet,
    ),
    ScriptRule(
        id="SD108",
        name="variable-at-import",
        level="error",
        sentence="SM_* variables are for training; serving imports the file without them.",
        cloud="KeyError when the endpoint imports the file; it never answers.",
        fix="Read it inside the function or the main guard that needs it, or with "
        "os.environ.get.",
        failing='import os\n\nMODEL_DIR = os.environ["SM_MODEL_DIR"]\n\n\n'
        'def model_fn(model_dir):\n    return model_dir\n\n\nif __name__ == "__main__":\n'
        "    print(MODEL_DIR)\n",
        passing="import os\n\n\ndef model_fn(model_dir):\n    return model_dir\n\n\n"
        'if __name__ == "__main__":\n    print(os.environ["SM_MODEL_DIR"])\n',
        sources=("sagemaker-inference-toolkit model_server.py: sets no SM_ variables",
                 "aws/sagemaker-python-sdk#155"),
        check=variable_at_import,
        skips=_served_by_mxnet,
    ),
)  # fmt: skip
