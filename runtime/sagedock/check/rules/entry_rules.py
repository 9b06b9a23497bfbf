"""Rules on what the container runs: train, save, the main guard, where the model goes."""

from __future__ import annotations

import ast
import re

from sagedock.check.rules.rule import ScriptRule, needs_legacy, needs_script_mode, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.model_folder import (
    FOLDER,
    code_of,
    hands_on,
    names_outside,
    takes_all,
)
from sagedock.check.subjects.module import Module, positional, required, text_of
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import arguments, environment_name
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
    yield Hit.at(entry, _first(entry), "there is no function `train`, and this version calls it")


def nothing_runs(script: Script, target: Target) -> Hits:
    entry = script.entry
    if entry.guards or entry.acts or only_serves(entry) or entry.has_star_import:
        return
    if not target.declared and _is_called_elsewhere(entry):
        return
    if target.declared != "script" and "train" in entry.functions:
        return
    place = entry.functions.get("train") or _first(entry)
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


def save_parameters(script: Script, target: Target) -> Hits:
    function = script.entry.functions.get("save")
    if function is None or "train" not in script.entry.functions or function.args.vararg:
        return
    names = positional(function)
    least = len(names) - len(function.args.defaults)
    if not least <= 2 <= len(names) or any(d is None for d in function.args.kw_defaults):
        told = f"`save` is called with two arguments, and takes {least or len(names)}"
        yield Hit.at(script.entry, function, told)


def gluon_without_save(script: Script, target: Target) -> Hits:
    entry = script.entry
    function = entry.functions.get("train")
    if function is None or "save" in entry.bound or entry.has_star_import:
        return
    for node in ast.walk(function):
        if not isinstance(node, ast.Return) or not node.value or entry.scope(node) is not function:
            continue
        if _is_gluon(entry, node.value, function):
            told = "`train` returns a Gluon net, and there is no `save` for it"
            yield Hit.at(entry, node, told)


def model_not_saved(script: Script, target: Target) -> Hits:
    entry = script.entry
    if target.generation(entry) == "legacy":
        yield from _returns_no_model(script)
        return
    for_sagemaker = target.declared or re.search(r"\bSM_[A-Z]+|/opt/ml/", entry.text)
    if not for_sagemaker or never_trains(entry) or not (entry.guards or entry.acts):
        return
    text = "\n".join(module.text for module in script.modules)
    if re.search(_ELSEWHERE, text, re.IGNORECASE) or any(takes_all(m) for m in script.modules):
        return
    if not FOLDER.search(text):
        yield Hit.at(entry, _first(entry), "nothing here knows the model's folder")
        return
    given = [
        (m, a) for m in script.modules for a in arguments(m) if FOLDER.search(ast.unparse(a.call))
    ]
    aside: list[ast.AST] = [argument.call for _, argument in given]
    aside += _unused_in_training(script)
    dests = {argument.dest for _, argument in given}
    if any(names_outside(m, aside, dests) for m in script.modules):
        return
    if given and hands_on(script):
        return
    if given:
        module, argument = given[0]
        told = f"`{argument.name}` is the model's folder, and nothing that trains reads it"
        yield Hit.at(module, argument.call, told)
    elif FOLDER.search(code_of(script)):
        told = "only functions that no training calls know the model's folder"
        yield Hit.at(entry, _first(entry), told)


_ELSEWHERE = r"sagemaker_(containers|training)|subprocess|os\.exec"


def _returns_no_model(script: Script) -> Hits:
    """What `train` returns is saved, if it is true; nothing else is, unless it writes itself."""
    entry = script.entry
    function = entry.functions.get("train")
    if function is None or isinstance(function.body[-1], ast.Raise):
        return
    own = [node for node in ast.walk(function) if entry.scope(node) is function]
    returned = [node.value for node in own if isinstance(node, ast.Return) and node.value]
    if any(not isinstance(value, ast.Constant) or value.value for value in returned):
        return
    rest = function.args.kwarg.arg if function.args.kwarg else None
    hands_rest_on = any(isinstance(n, ast.Name) and n.id == rest for n in own)
    save = entry.functions.get("save")
    aside = [*_serving_functions(script), *([save] if save else [])]
    aside += [a for a in positional(function) if a.arg == "model_dir"]
    if not hands_rest_on and not any(names_outside(m, aside) for m in script.modules):
        told = "`train` returns no model, and writes none into model_dir"
        yield Hit.at(entry, function, told)


def _serving_functions(script: Script) -> list[ast.AST]:
    return [f for m in script.served for name, f in m.functions.items() if name in SERVING]


def _unused_in_training(script: Script) -> list[ast.AST]:
    """Functions that serve, and those that nothing names: from 1.3 on no container calls `save`."""
    named: set[str] = set()
    for module in script.modules:
        named.update(name.id for name in module.every(ast.Name))
        named.update(attribute.attr for attribute in module.every(ast.Attribute))
        named.update(alias.name for alias in module.every(ast.alias))
    unnamed = [
        function
        for module in script.modules
        for name, function in module.functions.items()
        if name not in named and not function.decorator_list
    ]
    return [*_serving_functions(script), *unnamed]


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


def _first(module: Module) -> ast.AST:
    """The first definition: a better place than line 1 for what is missing."""
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)
    return next((s for s in module.body if isinstance(s, defined)), ast.Module([], []))


def _is_gluon(module: Module, value: ast.expr, function: ast.AST, depth: int = 0) -> bool:
    """Whether this is surely a Gluon block: made by gluon, by a class of this file, or by a
    function of this file that returns one."""
    if depth > 4:
        return False
    if isinstance(value, ast.Name):
        given = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == value.id for t in node.targets)
        ]
        return bool(given) and all(_is_gluon(module, g, function, depth + 1) for g in given)
    if not isinstance(value, ast.Call):
        return False
    name = module.dotted(value.func)
    if re.match(r"mxnet\.gluon\.(nn|rnn|contrib\.nn|model_zoo)\.", name):
        return not name.endswith("get_model_file")
    if name.startswith("mxnet.gluon.SymbolBlock"):
        return True
    called = module.functions.get(name)
    if called is not None:
        returned = [n.value for n in ast.walk(called) if isinstance(n, ast.Return) and n.value]
        return bool(returned) and all(_is_gluon(module, r, called, depth + 1) for r in returned)
    return name in _blocks(module)


def _blocks(module: Module) -> set[str]:
    """Classes of this file that are Gluon blocks."""
    found: set[str] = set()
    for node in module.every(ast.ClassDef):
        bases = [module.dotted(base) for base in node.bases]
        if any(b in found or re.match(r"mxnet\.gluon\..*(Block|Sequential)$", b) for b in bases):
            found.add(node.name)
    return found


def _legacy_declared(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    return "" if target.declared == "legacy" else "needs --framework-version up to 1.2.1"


def _script_or_unknown(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    return "" if target.generation(script.entry) != "legacy" else "is about script mode"


def _saves_by_itself_or_returns(script: Script, target: Target) -> str:
    legacy = needs_legacy(script, target)
    return needs_script_mode(script, target) if legacy else ""


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
        id="SD104",
        name="save-parameters",
        level="error",
        sentence="Legacy containers call `save(model, model_dir)`.",
        cloud="TypeError after the whole training; the job is Failed and the model is lost.",
        fix="Define `save(model, model_dir)`.",
        failing="def train(hyperparameters):\n    return [1]\n\n\ndef save(model):\n"
        "    print(model)\n",
        passing="def train(hyperparameters):\n    return [1]\n\n\n"
        "def save(model, model_dir):\n    print(model, model_dir)\n",
        sources=("sagemaker-mxnet-container 1.0 train.py",),
        check=save_parameters,
        skips=needs_legacy,
    ),
    ScriptRule(
        id="SD105",
        name="gluon-without-save",
        level="error",
        sentence="The default save is for Modules; a Gluon net needs a `save` of the script.",
        cloud="AttributeError: no attribute 'symbol', after the whole training; no model is kept.",
        fix="Define `save(net, model_dir)` that calls `net.save_parameters(…)` or `net.export(…)`.",
        failing="from mxnet import gluon\n\n\ndef train(hyperparameters):\n"
        "    net = gluon.nn.Dense(10)\n    net.initialize()\n    return net\n",
        passing="import os\n\nfrom mxnet import gluon\n\n\ndef train(hyperparameters):\n"
        "    net = gluon.nn.Dense(10)\n    net.initialize()\n    return net\n\n\n"
        "def save(net, model_dir):\n"
        '    net.save_parameters(os.path.join(model_dir, "model.params"))\n',
        sources=("sagemaker-mxnet-container 1.0 train.py default_save",
                 "aws/sagemaker-python-sdk#616"),
        check=gluon_without_save,
        skips=needs_legacy,
    ),
    ScriptRule(
        id="SD106",
        name="model-not-saved",
        level="warning",
        sentence="A script saves its model, or up to 1.2.1 returns it; this one does neither.",
        cloud="The job is Completed, and model.tar.gz is empty: what lies elsewhere is gone.",
        fix='Save below os.environ["SM_MODEL_DIR"], which is /opt/ml/model; up to 1.2.1 return the '
        "model from `train`.",
        failing='import os\n\n\ndef main():\n    print(os.environ["SM_CHANNEL_TRAINING"])\n'
        '    open("weights.bin", "wb").close()\n\n\nif __name__ == "__main__":\n    main()\n',
        passing="import os\n\n\ndef main():\n"
        '    folder = os.environ["SM_MODEL_DIR"]\n'
        '    open(os.path.join(folder, "weights.bin"), "wb").close()\n\n\n'
        'if __name__ == "__main__":\n    main()\n',
        sources=("aws/sagemaker-python-sdk#3455", "aws/sagemaker-python-sdk#1895",
                 "aws/sagemaker-training-toolkit#82",
                 "sagemaker-mxnet-container 1.0 train.py: saves what is true"),
        check=model_not_saved,
        skips=_saves_by_itself_or_returns,
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
