"""Rules on where the trained model goes: `save` of the old contract, and SM_MODEL_DIR."""

from __future__ import annotations

import ast
import re

from sagedock.check.rules.entry_rules import SERVING, first_definition, never_trains
from sagedock.check.rules.rule import ScriptRule, needs_legacy, needs_script_mode
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.model_folder import (
    FOLDER,
    code_of,
    hands_on,
    names_outside,
    takes_all,
)
from sagedock.check.subjects.module import Module, positional
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import arguments
from sagedock.check.target import Target


def save_parameters(script: Script, target: Target) -> Hits:
    function = script.entry.functions.get("save")
    if function is None or "train" not in script.entry.functions or function.args.vararg:
        return
    names = positional(function)
    least = len(names) - len(function.args.defaults)
    if not least <= 2 <= len(names) or any(d is None for d in function.args.kw_defaults):
        told = f"`save` is called with two arguments, and takes {least or len(names)}"
        yield Hit.at(script.entry, function, told)
    elif _NAMES_A_FOLDER.search(names[0].arg) and not _NAMES_A_FOLDER.search(names[1].arg):
        told = f"`{names[0].arg}` is given the model, and `{names[1].arg}` the folder"
        yield Hit.at(script.entry, names[0], told)


_NAMES_A_FOLDER = re.compile(r"(dir|path|folder)$")


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
        yield Hit.at(entry, first_definition(entry), "nothing here knows the model's folder")
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
        yield Hit.at(entry, first_definition(entry), told)


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


def _saves_by_itself_or_returns(script: Script, target: Target) -> str:
    legacy = needs_legacy(script, target)
    return needs_script_mode(script, target) if legacy else ""


RULES = (
    ScriptRule(
        id="SD104",
        name="save-parameters",
        level="error",
        sentence="Legacy containers call `save(model, model_dir)`, by position.",
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
)  # fmt: skip
