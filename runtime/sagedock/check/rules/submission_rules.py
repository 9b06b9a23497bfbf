"""Rules on a script and its job: entry point, channels, hyperparameters."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator

from sagedock.check.rules.hyperparameter_rules import variables_read
from sagedock.check.rules.rule import ScriptRule, needs_script_mode, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module, text_of
from sagedock.check.subjects.paths import Paths
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.texts import Argument, arguments
from sagedock.check.target import Target


def packaged_entry_point(script: Script, target: Target) -> Hits:
    program = script.entry.path.relative_to(script.root)
    if len(program.parts) > 1 and (script.root / "setup.py").is_file():
        called = program.with_suffix("").as_posix()
        told = f"setup.py makes the folder a package, and this file is run as `python -m {called}`"
        yield Hit.at(script.entry, ast.Module([], []), told)


def _needs_folder(script: Script, target: Target) -> str:
    return needs_script_mode(script, target) if script.is_folder else "is about source folders"


# --- channels -------------------------------------------------------------------------------------


def undeclared_channel(script: Script, target: Target) -> Hits:
    declared = {channel.upper() for channel in target.channels or ()}
    for module, node, name in variables_read(script):
        channel = name.removeprefix("SM_CHANNEL_")
        if channel == name or channel in declared:
            continue
        if isinstance(node, ast.Subscript) or (isinstance(node, ast.Call) and len(node.args) == 1):
            told = f"{name} is read, and the job has no channel {channel.lower()}"
            yield Hit.at(module, node, told, "error" if isinstance(node, ast.Subscript) else None)
    yield from _legacy_channels(script, target)
    yield from _channel_folders(script, target)


def _legacy_channels(script: Script, target: Target) -> Hits:
    function = script.entry.functions.get("train")
    for node in ast.walk(function) if function else ():
        if (
            isinstance(node, ast.Subscript)
            and getattr(node.value, "id", "") == "channel_input_dirs"
        ):
            channel = text_of(node.slice)
            if channel is not None and channel not in (target.channels or ()):
                told = f"channel_input_dirs has no {channel!r}: the job has no such channel"
                yield Hit.at(script.entry, node, told, "error")


_CHANNEL = re.compile(r"/opt/ml/input/data/([\w.-]+?)((?:_\d+|-manifest)?)(/.*)?")
"""A channel's folder, or the pipe or manifest that lies beside it."""
_CONDITIONS = (ast.If, ast.IfExp, ast.Try, ast.Compare, ast.BoolOp, ast.While)
_ASKS = ("exists", "isdir", "isfile", "is_dir", "is_file", "makedirs", "mkdir")
_SPELLED = (ast.Constant, ast.BinOp, ast.JoinedStr, ast.Call)


def _channel_folders(script: Script, target: Target) -> Hits:
    """Folders of channels that the code spells out, under no condition."""
    declared = set(target.channels or ())
    for module in script.modules:
        paths = Paths(module)
        spelled = (node for kind in _SPELLED for node in module.every(kind))
        for node in spelled if "/input/data" in module.text else ():
            text = paths.text(node)
            found = _CHANNEL.fullmatch(text) if text is not None else None
            if found is None or {found[1], found[1] + found[2]} & declared:
                continue
            if _is_whole(module, paths, node, found) and _is_read(module, node, target):
                told = f"{text} is read, and the job has no channel {found[1]}"
                yield Hit.at(module, node, told)


def _is_whole(module: Module, paths: Paths, node: ast.AST, found: re.Match[str]) -> bool:
    """Whether the path ends here, or goes on behind the channel's name."""
    above = module.parents[node]
    if isinstance(above, ast.FormattedValue):
        above = module.parents[above]
    if paths.text(above) is not None:
        return False
    adds = isinstance(above, ast.JoinedStr) or (
        isinstance(above, ast.BinOp) and isinstance(above.op, (ast.Add, ast.Mod))
    )
    return not adds or found[3] is not None


def _is_read(module: Module, node: ast.AST, target: Target) -> bool:
    """Whether something is done with it, and not only if it is there."""
    around = [a for a in module.around(node) if a not in module.guards]
    if any(isinstance(above, _CONDITIONS) for above in around):
        return False
    above = around[0]
    if isinstance(above, ast.keyword) and above.arg == "default":
        names = {(text_of(a) or "").lstrip("-") for a in getattr(around[1], "args", ())}
        return not names & set(target.hyperparameters or ())
    if isinstance(above, ast.Call):
        name = getattr(above.func, "attr", getattr(above.func, "id", ""))
        return name not in (*_ASKS, "get", "getenv")
    if isinstance(above, ast.Assign):
        return any(_is_used(module, one) for one in above.targets)
    return not isinstance(above, ast.Expr)


def _is_used(module: Module, given: ast.expr) -> bool:
    """Whether the name, or the attribute of a class, is read, and nobody asks if it is there."""
    name = getattr(given, "id", "")
    asked = [call for call in module.calls if getattr(call.func, "attr", "") in _ASKS]
    if any(getattr(n, "id", "") == name for call in asked for n in ast.walk(call)):
        return False
    loads = {n.id for n in module.every(ast.Name) if isinstance(n.ctx, ast.Load)}
    loads |= {n.attr for n in module.every(ast.Attribute) if isinstance(n.ctx, ast.Load)}
    return name in loads


def _needs_channels(script: Script, target: Target) -> str:
    if target.channels is None:
        return "needs --channel, or the job's request"
    return needs_syntax(script, target)


# --- hyperparameters ------------------------------------------------------------------------------

_OTHER_WAYS = re.compile(
    r"SM_HPS|SM_HP_|SM_TRAINING_ENV|SM_USER_ARGS|hyperparameters\.json|sys\.argv|"
    r"sagemaker_training|sagemaker_containers"
)
_LENIENT = "parse_known_args"
_TOO_MANY = ("add_subparsers", "parse_intermixed_args", "parse_known_intermixed_args")
_MORE_ARGUMENTS = {"parents", "prefix_chars", "fromfile_prefix_chars", None}


def unknown_hyperparameter(script: Script, target: Target) -> Hits:
    parsing = _the_only_parsing(script)
    if parsing is None:
        return
    module, call = parsing
    is_lenient = getattr(call.func, "attr", "") == _LENIENT
    if is_lenient and (_uses_the_rest(module, call) or _reads_otherwise(script)):
        return
    declared = {name: (m, a) for m in script.modules for a in arguments(m) for name in a.names}
    for passed in target.hyperparameters or ():
        option = f"--{passed}" if len(passed) > 1 else f"-{passed}"
        if passed.startswith(("sagemaker_", "_")) or _is_taken(option, declared, script):
            continue
        told = f"the job passes `{option}`, and there is no such argument"
        if is_lenient:
            told += ": parse_known_args leaves it aside, and nothing says so"
        taken = {f"--{name}" for name in target.hyperparameters or ()}
        near = _nearest(option, [name for name in declared if name not in taken])
        if is_lenient and near is None:
            continue  # it asks for what it knows, and is passed more on purpose
        if near is not None:
            told += f". Is it `{near}`?"
        place = declared[near] if near is not None else None
        at, node = (place[0], place[1].call) if place is not None else (module, call)
        yield Hit.at(at, node, told, "warning" if is_lenient else None)


def _the_only_parsing(script: Script) -> tuple[Module, ast.Call] | None:
    """The call that reads the command line, where there is one parser whose every argument stands
    in these files."""
    made, read = [], []
    for module, call in _calls(script):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if name.endswith("ArgumentParser"):
            made.append((name, call))
        elif name in ("parse_args", _LENIENT):
            read.append((module, call))
        elif name in _TOO_MANY or (name == "add_argument" and not _is_spelled_out(call)):
            return None
    if len(made) != 1 or len(read) != 1 or made[0][0] != "ArgumentParser":
        return None
    parser, (module, call) = made[0][1], read[0]
    if {k.arg for k in parser.keywords} & _MORE_ARGUMENTS:
        return None
    handed = {n.id for m, c in _calls(script) for a in c.args for n in ast.walk(a)
              if isinstance(n, ast.Name) and m is module}  # fmt: skip
    is_handed_on = getattr(getattr(call.func, "value", None), "id", "") in handed
    return None if call.args or call.keywords or is_handed_on else (module, call)


def _calls(script: Script) -> Iterator[tuple[Module, ast.Call]]:
    for module in script.modules:
        for call in module.calls:
            yield module, call


def _is_spelled_out(call: ast.Call) -> bool:
    return bool(call.args) and all(text_of(name) is not None for name in call.args)


def _uses_the_rest(module: Module, call: ast.Call) -> bool:
    """Whether what parse_known_args leaves aside is read, or may be."""
    above = module.parents[call]
    if isinstance(above, ast.Subscript):
        return not (isinstance(above.slice, ast.Constant) and above.slice.value == 0)
    pair = above.targets[0] if isinstance(above, ast.Assign) else None
    if not isinstance(pair, ast.Tuple) or len(pair.elts) != 2:
        return True
    rest = getattr(pair.elts[1], "id", None)
    read = {name.id for name in module.every(ast.Name) if isinstance(name.ctx, ast.Load)}
    return rest is None or (rest in read and set(rest) != {"_"})


def _reads_otherwise(script: Script) -> bool:
    return any(_OTHER_WAYS.search(module.text) for module in script.modules)


def _is_taken(option: str, declared: dict[str, tuple[Module, Argument]], script: Script) -> bool:
    """By its name, or as the beginning of just one, as argparse takes it."""
    if option in declared:
        return True
    if any(
        argument.options.get("action") is not None
        and "BooleanOptionalAction" in ast.unparse(argument.options["action"])
        and option == f"--no-{name.lstrip('-')}"
        for name, (_, argument) in declared.items()
    ):
        return True
    exact = any("allow_abbrev" in m.text for m in script.modules)
    begun = [name for name in declared if name.startswith(option) and option.startswith("--")]
    return len(begun) == 1 and not exact


def _nearest(option: str, names: list[str]) -> str | None:
    """The argument that is probably meant."""
    plain = {re.sub("[-_]", "", name): name for name in names if name.startswith("--")}
    same = plain.get(re.sub("[-_]", "", option))
    near = difflib.get_close_matches(option, [n for n in names if n.startswith("--")], 1, 0.85)
    return same or (near[0] if near else None)


def _needs_hyperparameters(script: Script, target: Target) -> str:
    if target.hyperparameters is None:
        return "needs --hyperparameters, or the job's request"
    return needs_script_mode(script, target)


def _trains(options: str) -> str:
    return (
        "import argparse\nimport os\n\n"
        "parser = argparse.ArgumentParser()\n"
        f"{options}"
        'parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))\n'
        "args = parser.parse_args()\n"
        'open(os.path.join(args.model_dir, "weights"), "wb").close()\n'
    )


_BATCH = 'parser.add_argument("--{}", type=int, default=32)\n'

RULES = (
    ScriptRule(
        id="SD109",
        name="packaged-entry-point",
        level="error",
        sentence="Beside a setup.py the entry point is run as a module, and lies in no subfolder.",
        cloud="`No module named src/train`: the toolkit only takes .py away from the entry point's "
        "name. The job is Failed.",
        fix="Put the entry point beside setup.py, or leave setup.py out of the source folder.",
        failing="# saved as src/train.py beside a setup.py\nimport os\n\n"
        'open(os.path.join(os.environ["SM_MODEL_DIR"], "weights"), "wb").close()\n',
        passing="# saved as train.py beside a setup.py\nimport os\n\n"
        'open(os.path.join(os.environ["SM_MODEL_DIR"], "weights"), "wb").close()\n',
        sources=("aws/sagemaker-python-sdk#3737", "aws/amazon-sagemaker-examples#893",
                 "aws/sagemaker-scikit-learn-container#29",
                 "sagemaker-training-toolkit _entry_point_type.py, process.py"),
        check=packaged_entry_point,
        skips=_needs_folder,
    ),
    ScriptRule(
        id="SD128",
        name="undeclared-channel",
        level="warning",
        sentence="There is an SM_CHANNEL_ variable and a folder for each channel of the job, and "
        "no other.",
        cloud="KeyError, None where a folder is expected, or FileNotFoundError: the job is Failed.",
        fix="Add the channel to the job (`fit({\"name\": …})`), or read it with a default.",
        failing='import os\n\nmodel = os.environ["SM_MODEL_DIR"]\n'
        'for name in os.listdir(os.environ["SM_CHANNEL_TEST"]):\n    print(name, model)\n',
        passing='import os\n\nmodel = os.environ["SM_MODEL_DIR"]\n'
        'for name in os.listdir(os.environ["SM_CHANNEL_TRAINING"]):\n    print(name, model)\n',
        sources=("sagemaker-training-toolkit environment.py", "aws/amazon-sagemaker-examples#995",
                 "aws/amazon-sagemaker-examples#1234"),
        check=undeclared_channel,
        skips=_needs_channels,
        example=Target(channels=("training",)),
    ),
    ScriptRule(
        id="SD145",
        name="unknown-hyperparameter",
        level="error",
        sentence="A hyperparameter is passed as `--name value`, exactly as the job spells it.",
        cloud="`error: unrecognized arguments`, exit code 2, before anything runs. With "
        "parse_known_args the job runs with the default, and nothing says so.",
        fix="Spell both alike: argparse tells `--batch-size` and `--batch_size` apart.",
        failing=_trains(_BATCH.format("batch-size")),
        passing=_trains(_BATCH.format("batch_size")),
        sources=("huggingface/notebooks#136", "huggingface/notebooks#145",
                 "huggingface/notebooks#52", "sagemaker-training-toolkit mapping.py to_cmd_args"),
        check=unknown_hyperparameter,
        skips=_needs_hyperparameters,
        example=Target(hyperparameters=("batch_size",)),
    ),
)  # fmt: skip
