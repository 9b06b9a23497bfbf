"""Rules on arguments, SM_* variables and hyperparameters: all of them arrive as text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sagedock.check.rules.rule import ScriptRule, needs_script_mode, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module, text_of
from sagedock.check.subjects.numbers import texts_as_numbers
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import Argument, Kind, arguments, environment_reads, texts_of
from sagedock.check.subjects.words import words
from sagedock.check.target import Target

VARIABLES = words(
    """
    HOSTS NETWORK_INTERFACE_NAME HPS USER_ENTRY_POINT MODULE_NAME FRAMEWORK_PARAMS
    FRAMEWORK_MODULE RESOURCE_CONFIG INPUT_DATA_CONFIG CHANNELS CURRENT_HOST MODEL_DIR
    OUTPUT_DATA_DIR OUTPUT_DIR OUTPUT_INTERMEDIATE_DIR INPUT_DIR INPUT_CONFIG_DIR MODULE_DIR
    NUM_CPUS NUM_GPUS NUM_NEURONS LOG_LEVEL USER_ARGS TRAINING_ENV CURRENT_INSTANCE_TYPE
    CURRENT_INSTANCE_GROUP CURRENT_INSTANCE_GROUP_HOSTS INSTANCE_GROUPS INSTANCE_GROUPS_DICT
    DISTRIBUTION_INSTANCE_GROUPS IS_HETERO TOPOLOGY MASTER_ADDR MASTER_PORT MASTER
    INPUT_DATA_DIR OUTPUT_FAILURE SOURCE_DIR ENTRY_SCRIPT DISTRIBUTED_DRIVER_DIR
    DISTRIBUTED_CONFIG HOST_COUNT CURRENT_HOST_RANK
    """
)
"""After SM_: all that the training toolkit sets (sagemaker-training-toolkit environment.py); in the
last two lines what ModelTrainer of SDK v3 adds (container_drivers/scripts/environment.py)."""

_PARSED_BADLY = {
    "bool": "bool of any text but the empty one is True, 'False' too",
    "list": "list of a text is its characters",
    "dict": "dict of a text raises ValueError",
}
_TEXTS = VARIABLES - words(
    """
    NUM_CPUS NUM_GPUS NUM_NEURONS LOG_LEVEL MASTER_PORT HOST_COUNT CURRENT_HOST_RANK IS_HETERO
    OUTPUT_FAILURE
    """
)
"""Those that never hold a number."""

_VALUELESS = ("store_true", "store_false", "store_const", "count", "BooleanOptionalAction")


def argument_type(script: Script, target: Target) -> Hits:
    for module, argument in _every(script):
        told = _parsed_badly(argument) or _is_no_number(argument)
        if told:
            yield Hit.at(module, argument.call, f"`{argument.name}`: {told}")
        elif _is_truth(argument) and _is_asked(module, argument):
            told = "is asked for its truth, and a job passes text: 'False' is true"
            yield Hit.at(module, argument.call, f"`{argument.name}` {told}")


def _parsed_badly(argument: Argument) -> str:
    kind = argument.options.get("type")
    told = _PARSED_BADLY.get(kind.id) if isinstance(kind, ast.Name) else None
    default = argument.options.get("default")
    computed = default is not None and "SM_" in ast.unparse(default) and not argument.default_name
    if told is None or computed or ("nargs" in argument.options and told[0] == "b"):
        return ""
    assert isinstance(kind, ast.Name)
    return f"type={kind.id}, and {told}"


def _is_no_number(argument: Argument) -> str:
    """A default that is a text is parsed as a passed one is, and ends the script."""
    kind = getattr(argument.options.get("type"), "id", "")
    name = argument.default_name or ""
    rest = name.removeprefix("SM_")
    is_text = rest in _TEXTS or rest.startswith("CHANNEL_")
    return (
        f"type={kind}, and {name} holds no number" if kind in ("int", "float") and is_text else ""
    )


def _is_truth(argument: Argument) -> bool:
    default = argument.options.get("default")
    is_truth = isinstance(default, ast.Constant) and isinstance(default.value, bool)
    return is_truth and argument.is_plain_text


def _is_asked(module: Module, argument: Argument) -> bool:
    """Whether it is asked for its truth, and never compared or worked on as a text."""
    texts = texts_of(module)

    def is_it(node: ast.AST | None) -> bool:
        origin = texts.origin(node) if node is not None else None
        return origin is not None and origin.name == argument.name

    for comparison in module.every(ast.Compare):
        if any(is_it(side) for side in (comparison.left, *comparison.comparators)):
            return False
    if any(is_it(getattr(call.func, "value", None)) for call in module.calls):
        return False
    tested: list[ast.expr] = [node.operand for node in module.every(ast.UnaryOp) if _is_not(node)]
    tested += [node.test for node in module.every(ast.If)]
    tested += [node.test for node in module.every(ast.IfExp)]
    tested += [node.test for node in module.every(ast.While)]
    tested += [value for node in module.every(ast.BoolOp) for value in node.values]
    return any(is_it(node) for node in tested)


def _is_not(node: ast.UnaryOp) -> bool:
    return isinstance(node.op, ast.Not)


def flag_argument(script: Script, target: Target) -> Hits:
    methods = {getattr(c.func, "attr", "") for m in script.modules for c in m.calls}
    lenient = "parse_known_args" in methods and "parse_args" not in methods
    for module, argument in _every(script):
        action = argument.options.get("action")
        name = text_of(action) or getattr(action, "attr", getattr(action, "id", ""))
        if name not in _VALUELESS:
            continue
        told = f"`{argument.name}` takes no value, and the container passes one"
        if lenient:
            told += ", which parse_known_args leaves aside: `False` sets it too"
        yield Hit.at(module, argument.call, told)


def positional_argument(script: Script, target: Target) -> Hits:
    for module, argument in _every(script):
        count = argument.options.get("nargs")
        optional = count is not None and text_of(count) != "+"
        if argument.is_positional and not optional and _reads_command_line(module):
            told = f"`{argument.names[0]}` is positional, and the container passes only --names"
            yield Hit.at(module, argument.call, told)


def _every(script: Script) -> Iterator[tuple[Module, Argument]]:
    for module in script.modules:
        for argument in arguments(module):
            yield module, argument


def _reads_command_line(module: Module) -> bool:
    """Whether some parse_args() is given no arguments of the script's own."""
    return any(
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("parse_args", "parse_known_args")
        and not call.args
        and not call.keywords
        for call in module.calls
    )


def argument_as_number(script: Script, target: Target) -> Hits:
    yield from _as_number(script, "argument", "`{}` {}: it is text where a job passes it")


def variable_as_number(script: Script, target: Target) -> Hits:
    yield from _as_number(script, "variable", "{} is text, as every variable is")


def file_as_number(script: Script, target: Target) -> Hits:
    yield from _as_number(script, "hyperparameter", "`{}` is text in hyperparameters.json")


def _as_number(script: Script, kind: Kind, told: str) -> Hits:
    for module in script.modules:
        typed = {a.name for a in arguments(module) if "type" in a.options}
        for used, origin in texts_as_numbers(module):
            if origin.kind == kind:
                has = "has type=str" if origin.name in typed else "has no type"
                said = told.format(origin.name, has)
                yield Hit.at(module, used, f"{said}, and a number is needed here")


def unknown_variable(script: Script, target: Target) -> Hits:
    for module, node, name in variables_read(script):
        rest = name.removeprefix("SM_")
        if rest in VARIABLES or rest.startswith(("CHANNEL_", "HP_")) or not re.match("[A-Z]", rest):
            continue
        if isinstance(node, ast.Subscript):
            yield Hit.at(module, node, f"no container sets {name}")


def variable_under_legacy(script: Script, target: Target) -> Hits:
    for module, node, name in variables_read(script):
        guarded = any(above in module.guards for above in module.around(node))
        tried = any(isinstance(above, (ast.Try, ast.If)) for above in module.around(node))
        if isinstance(node, ast.Subscript) and not guarded and not tried:
            yield Hit.at(
                module, node, f"{name} is read, and legacy containers set no SM_ variables"
            )


def variables_read(script: Script) -> Iterator[tuple[Module, ast.AST, str]]:
    """Reads of SM_ variables that the script does not set itself."""
    for module in script.modules:
        found = environment_reads(module)
        own = {n for node, n in found if isinstance(getattr(node, "ctx", None), ast.Store)}
        for node, name in found:
            if name.startswith("SM_") and name not in own:
                yield module, node, name


def _needs_legacy_version(script: Script, target: Target) -> str:
    if target.declared != "legacy":
        return "needs --framework-version up to 1.2.1"
    return needs_syntax(script, target)


def _program(arguments: str, body: str) -> str:
    return (
        "import argparse\nimport os\n\n"
        "parser = argparse.ArgumentParser()\n"
        'parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))\n'
        f"{arguments}args = parser.parse_args()\n{body}"
        'open(os.path.join(args.model_dir, "weights"), "wb").close()\n'
    )


_SDK302 = "aws/sagemaker-python-sdk#302"

RULES = (
    ScriptRule(
        id="SD121",
        name="argument-type",
        level="error",
        sentence="The type of an argument parses its text: `type=bool`, `type=list` and "
        "`type=dict` do not.",
        cloud="The job runs with another value than the one you gave: `--flag False` is True, "
        "`--layers [1,2]` is a list of characters.",
        fix='Use `type=lambda text: text.lower() == "true"`, or `type=json.loads`.',
        failing=_program('parser.add_argument("--augment", type=bool, default=True)\n', ""),
        passing=_program('parser.add_argument("--augment", type=lambda t: t == "True")\n', ""),
        sources=("aws/sagemaker-python-sdk#4247", "aws/sagemaker-python-sdk#613",
                 "sagemaker-training-toolkit mapping.py"),
        check=argument_type,
        skips=needs_script_mode,
    ),
    ScriptRule(
        id="SD122",
        name="flag-argument",
        level="warning",
        sentence="A hyperparameter becomes `--name value`; a flag takes no value.",
        cloud="`error: unrecognized arguments: True`, exit code 2, as soon as the job has this "
        "hyperparameter. With parse_known_args no error, and no way to say False.",
        fix='Take the value: `type=lambda text: text.lower() == "true", default=False`.',
        failing=_program('parser.add_argument("--augment", action="store_true")\n', ""),
        passing=_program('parser.add_argument("--augment", type=lambda t: t == "True")\n', ""),
        sources=("huggingface/accelerate#980", "aws/sagemaker-python-sdk#2689",
                 "sagemaker-training-toolkit mapping.py"),
        check=flag_argument,
        skips=needs_script_mode,
    ),
    ScriptRule(
        id="SD123",
        name="argument-as-number",
        level="error",
        sentence="An argument without `type` is text, and it is used as a number.",
        cloud="TypeError in the middle of the job, once the hyperparameter is passed. The default, "
        "which is a number, hides it on your machine.",
        fix="Add `type=int` or `type=float`.",
        failing=_program('parser.add_argument("--epochs", default=10)\n',
                         "for epoch in range(args.epochs):\n    print(epoch)\n"),
        passing=_program('parser.add_argument("--epochs", type=int, default=10)\n',
                         "for epoch in range(args.epochs):\n    print(epoch)\n"),
        sources=(_SDK302, "sagemaker-training-toolkit mapping.py to_cmd_args"),
        check=argument_as_number,
        skips=needs_script_mode,
    ),
    ScriptRule(
        id="SD124",
        name="variable-as-number",
        level="error",
        sentence="Environment variables are text, SM_NUM_GPUS and SM_HP_* too.",
        cloud="TypeError in the job; or, with `==`, a comparison that is never true.",
        fix='Convert it: `int(os.environ["SM_NUM_GPUS"])`.',
        failing='import os\n\nmodel_dir = os.environ["SM_MODEL_DIR"]\n'
        'for epoch in range(os.environ["SM_HP_EPOCHS"]):\n    print(epoch, model_dir)\n',
        passing='import os\n\nmodel_dir = os.environ["SM_MODEL_DIR"]\n'
        'for epoch in range(int(os.environ["SM_HP_EPOCHS"])):\n    print(epoch, model_dir)\n',
        sources=("aws/sagemaker-python-sdk#142",
                 "sagemaker-training-toolkit mapping.py to_env_vars"),
        check=variable_as_number,
        skips=needs_syntax,
    ),
    ScriptRule(
        id="SD125",
        name="hyperparameter-as-number",
        level="error",
        sentence="In hyperparameters.json every value is text.",
        cloud="TypeError in the job.",
        fix="Convert it: `int(hyperparameters[\"epochs\"])`.",
        failing="import json\n\n"
        'with open("/opt/ml/input/config/hyperparameters.json") as file:\n'
        '    hp = json.load(file)\n'
        'epochs = hp.get("epochs", 10)\nfor epoch in range(epochs):\n    print(epoch)\n'
        'open("/opt/ml/model/weights", "w").close()\n',
        passing="import json\n\n"
        'with open("/opt/ml/input/config/hyperparameters.json") as file:\n'
        '    hp = json.load(file)\n'
        'epochs = int(hp.get("epochs", 10))\nfor epoch in range(epochs):\n    print(epoch)\n'
        'open("/opt/ml/model/weights", "w").close()\n',
        sources=("aws/sagemaker-containers#179", _SDK302),
        check=file_as_number,
        skips=needs_syntax,
    ),
    ScriptRule(
        id="SD126",
        name="positional-argument",
        level="error",
        sentence="The container passes `--name value` pairs and nothing else.",
        cloud="`error: the following arguments are required`, exit code 2, before anything runs.",
        fix="Make it an option whose default is an SM_ variable.",
        failing=_program('parser.add_argument("data")\n', "print(args.data)\n"),
        passing=_program(
            'parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAINING"))\n',
            "print(args.data)\n"),
        sources=("aws/sagemaker-python-sdk#1225", "sagemaker-training-toolkit mapping.py"),
        check=positional_argument,
        skips=needs_script_mode,
    ),
    ScriptRule(
        id="SD127",
        name="unknown-variable",
        level="error",
        sentence="The container sets a fixed list of SM_ variables, and this is not among them.",
        cloud="KeyError, and the job is Failed.",
        fix="Known are SM_MODEL_DIR, "
        "SM_OUTPUT_DATA_DIR, SM_CHANNEL_<NAME>, SM_HP_<NAME>, SM_HOSTS, SM_CURRENT_HOST, "
        "SM_NUM_GPUS and others.",
        failing='import os\n\nprint(os.environ["SM_TRAINING_DIR"], os.environ["SM_MODEL_DIR"])\n'
        "for line in ():\n    print(line)\n",
        passing='import os\n\n'
        'print(os.environ["SM_CHANNEL_TRAINING"], os.environ["SM_MODEL_DIR"])\n'
        "for line in ():\n    print(line)\n",
        sources=("sagemaker-training-toolkit environment.py", "aws/sagemaker-python-sdk#658"),
        check=unknown_variable,
        skips=needs_script_mode,
    ),
    ScriptRule(
        id="SD129",
        name="variable-under-legacy",
        level="error",
        sentence="Legacy containers set no SM_ variables; they pass arguments to `train`.",
        cloud="KeyError, and the job is Failed.",
        fix="Take model_dir, channel_input_dirs, hosts … as parameters of `train`.",
        failing='import os\n\n\ndef train(hyperparameters):\n'
        '    return os.environ["SM_MODEL_DIR"]\n',
        passing="def train(hyperparameters, model_dir):\n    return model_dir\n",
        sources=("sagemaker-container-support 1.1 environment.py",
                 "aws/sagemaker-python-sdk#787"),
        check=variable_under_legacy,
        skips=_needs_legacy_version,
        example=Target(framework_version="1.2.1"),
    ),
)  # fmt: skip
