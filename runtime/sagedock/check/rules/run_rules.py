"""Rules on how the run behaves: paths, devices, exit codes, logs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from sagedock.check.rules.entry_rules import SERVING, never_trains
from sagedock.check.rules.rule import ScriptRule, needs_legacy, needs_script_mode, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Module, text_of
from sagedock.check.subjects.script import Script
from sagedock.check.target import Target

_FOREIGN = re.compile(
    r"(/home/(?!model-server)\w|/Users/\w|[A-Za-z]:[\\/]+\w|/content/\w|/kaggle/\w|"
    r"/mnt/\w|/root/\w|~/\w|/media/\w|/workspace/\w|/notebooks?/\w)"
)
"""Folders of somebody's machine, a notebook service, a mounted disk: in no container."""

_READS = re.compile(
    r"^(open|read_\w+|load\w*|save\w*|imread|imwrite|listdir|scandir|makedirs|mkdir|Path|join|glob|"
    r"iglob|walk|copy\w*|move|to_csv|to_json|dump|export|ImageRecordIter|ImageRecordDataset|"
    r"CSVIter|LibSVMIter|ImageFolderDataset|genfromtxt|loadtxt|savetxt|File)$"
)


def foreign_path(script: Script, target: Target) -> Hits:
    for module in script.modules:
        for node in module.every(ast.Constant):
            text = text_of(node)
            if text is None or not _FOREIGN.match(text) or "\n" in text:
                continue
            if _is_probed(module, node, text) or _in_dead_guard(script, target, module, node):
                continue
            if _is_used(module, node):
                yield Hit.at(module, node, f"{text!r} is a path of your machine")


def _is_used(module: Module, node: ast.AST) -> bool:
    """Handed to something that reads or writes, directly or by a name."""
    above = module.parents.get(node)
    if isinstance(above, ast.Call):
        return bool(_READS.match(_name(above)))
    if isinstance(above, ast.Assign) and len(above.targets) == 1:
        target = above.targets[0]
        name = target.id if isinstance(target, ast.Name) else ""
        loads = [n for n in module.every(ast.Name) if n.id == name]
        used = (n for n in loads if isinstance(n.ctx, ast.Load))
        return any(_READS.match(_name(call)) for n in used for call in _calls_around(module, n))
    return False


def _calls_around(module: Module, node: ast.AST) -> Iterator[ast.Call]:
    for above in module.around(node):
        if isinstance(above, ast.stmt):
            return
        if isinstance(above, ast.Call):
            yield above


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", getattr(call.func, "id", "")))


def _is_probed(module: Module, node: ast.AST, text: str) -> bool:
    """The script looks whether the path is there, as it stands or by its name."""
    above = module.parents.get(node)
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    name = target.id if isinstance(target, ast.Name) else None
    probes = ("exists", "isdir", "isfile", "is_dir", "is_file")
    asked = [n for call in module.calls if _name(call) in probes for n in ast.walk(call)]
    return any(text_of(n) == text or (name and getattr(n, "id", "") == name) for n in asked)


def _in_dead_guard(script: Script, target: Target, module: Module, node: ast.AST) -> bool:
    """A main guard that the cloud does not run: of a legacy script, and of any imported module."""
    runs = module is script.entry and target.generation(script.entry) != "legacy"
    return not runs and any(above in module.guards for above in module.around(node))


def gpu_on_cpu(script: Script, target: Target) -> Hits:
    for module in script.modules:
        for call in module.calls:
            name = module.dotted(call.func)
            is_gpu = name in ("mxnet.gpu", "mxnet.context.gpu", "mxnet.device.gpu")
            if name in ("mxnet.Context", "mxnet.context.Context") and call.args:
                is_gpu = text_of(call.args[0]) == "gpu"
            is_safe = _has_way_round(module, call) or _in_dead_guard(script, target, module, call)
            if is_gpu and not is_safe:
                told = f"a GPU is asked for, and {target.instance_type} has none"
                yield Hit.at(module, call, told)


_CONDITIONS = (
    ast.If, ast.IfExp, ast.BoolOp, ast.ListComp, ast.GeneratorExp, ast.SetComp,
    ast.For, ast.While, ast.Dict, ast.Lambda,
)  # fmt: skip


def _has_way_round(module: Module, call: ast.Call) -> bool:
    """Under a condition, in a loop over the GPUs there are, in a `try` that uses the GPU, or after
    an early return."""
    for above in module.around(call):
        if above in module.guards:
            continue
        if isinstance(above, _CONDITIONS) or (isinstance(above, ast.Try) and _tries(above, call)):
            return True
    scope = module.scope(call)
    leaves = (ast.Return, ast.Raise, ast.Continue)
    return any(
        isinstance(n, ast.If) and n.lineno < call.lineno and isinstance(n.body[-1], leaves)
        for n in ast.walk(scope)
    )


def _tries(block: ast.Try, call: ast.Call) -> bool:
    """Whether anything but the device's name is made in the `try`, or the name in a handler:
    `mx.gpu()` alone never fails, with a GPU or without."""
    if not any(node is call for statement in block.body for node in ast.walk(statement)):
        return True
    used = [n for s in block.body for n in ast.walk(s) if isinstance(n, (ast.Call, ast.Return))]
    return any(node is not call and not isinstance(node, ast.Return) for node in used)


def hidden_failure(script: Script, target: Target) -> Hits:
    for module in script.modules:
        for node in module.every(ast.ExceptHandler):
            if not _catches_much(module, node):
                continue
            for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                if _ends_well(module, call):
                    told = "a failure ends with exit code 0, which is success"
                    yield Hit.at(module, call, told)
            if _swallows(module, node):
                yield Hit.at(
                    module, node, "a failure of the training is caught, and goes no further"
                )


def _catches_much(module: Module, handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    planned = ("KeyboardInterrupt", "StopIteration", "SystemExit", "GeneratorExit")
    return not any(module.dotted(kind) in planned for kind in kinds)


def _ends_well(module: Module, call: ast.Call) -> bool:
    """sys.exit(0) and its like; exit() without a code is 0 too."""
    if module.dotted(call.func) not in ("sys.exit", "os._exit", "exit", "quit"):
        return False
    return not call.args or (
        isinstance(call.args[0], ast.Constant) and call.args[0].value in (0, None)
    )


def _swallows(module: Module, handler: ast.ExceptHandler) -> bool:
    """`try: main()` … `except Exception:` where the handler neither raises nor exits, at the
    place that runs the whole training, with nothing after it that could fail."""
    broad = handler.type is None or module.dotted(handler.type) in ("Exception", "BaseException")
    above = module.parents[handler]
    if not broad or not isinstance(above, ast.Try) or above.finalbody or above.orelse:
        return False
    if any(isinstance(n, (ast.Raise, ast.Return)) for n in ast.walk(handler)):
        return False
    if any(
        isinstance(n, ast.Call) and re.search("exit|kill|abort", _name(n))
        for n in ast.walk(handler)
    ):
        return False
    if _leaves_afterwards(module, above):
        return False
    in_loop = any(isinstance(a, (ast.For, ast.While)) for a in module.around(above))
    calls = [n for s in above.body for n in ast.walk(s) if isinstance(n, ast.Call)]
    at_top = isinstance(module.scope(above), ast.Module)
    return at_top and not in_loop and any(
        isinstance(c.func, ast.Name) and c.func.id in ("main", "train", "run", "fit") for c in calls
    )  # fmt: skip


def _leaves_afterwards(module: Module, block: ast.Try) -> bool:
    """`sys.exit(code)` after the block: the handler may have set the code."""
    around: list[ast.stmt] = getattr(module.parents[block], "body", [])
    later = [s for s in around if s.lineno > block.lineno]
    calls = [n for s in later for n in ast.walk(s) if isinstance(n, ast.Call)]
    return any(re.search("exit|kill|abort", _name(call)) for call in calls)


def exit_under_legacy(script: Script, target: Target) -> Hits:
    for module in script.modules:
        for call in module.calls:
            if module.dotted(call.func) not in ("sys.exit", "exit", "quit"):
                continue
            if any(above in module.guards for above in module.around(call)):
                continue
            if call.args and not _ends_well(module, call):
                told = "in a legacy container sys.exit is success, whatever its code"
                yield Hit.at(module, call, told)


def silent_logging(script: Script, target: Target) -> Hits:
    entry = script.entry
    text = "\n".join(module.text for module in script.modules)
    prepared = r"basicConfig|setLevel|dictConfig|fileConfig|addHandler|loguru|absl|set_verbosity"
    if re.search(prepared, text) or never_trains(entry):
        return
    only_served = _only_by_serving(entry)
    for call in entry.calls:
        if entry.dotted(call.func) in ("logging.info", "logging.debug"):
            if not only_served.isdisjoint(entry.around(call)):
                continue
            yield Hit.at(entry, call, "this is not printed: the root logger begins at WARNING")
            return


def _only_by_serving(entry: Module) -> set[ast.AST]:
    """The serving functions and what only they use: the model server has configured logging at
    INFO before it imports the file (multi-model-server model_service_worker.py)."""
    served = {f for name, f in entry.functions.items() if name in SERVING}
    users: dict[str, set[ast.AST | None]] = {name: set() for name in entry.functions}
    for node in entry.every(ast.Name):
        if node.id in users:
            around = [a for a in entry.around(node) if a in entry.functions.values()]
            users[node.id].add(around[-1] if around else None)
    found: set[ast.AST] = set(served)
    while True:
        more = {
            f
            for name, f in entry.functions.items()
            if f not in found and users[name] and users[name] <= found
        }
        if not more:
            return found
        found |= more


def _needs_cpu(script: Script, target: Target) -> str:
    if target.has_gpu is None:
        return "needs --instance-type"
    return "the instance has a GPU" if target.has_gpu else needs_syntax(script, target)


_SAVE = '    open(os.environ["SM_MODEL_DIR"] + "/weights", "w").close()\n'
_MAIN = (
    f"import os\nimport sys\n\n\ndef main():\n    print(sys.argv)\n{_SAVE}\n"
    f'\nif __name__ == "__main__":\n'
)

RULES = (
    ScriptRule(
        id="SD140",
        name="foreign-path",
        level="error",
        sentence="The container has /opt/ml and its own system, and no folder of yours.",
        cloud="FileNotFoundError; or, for an output, a file that is gone when the job ends.",
        fix="Read from SM_CHANNEL_<NAME> or channel_input_dirs; write to the model folder or to "
        "SM_OUTPUT_DATA_DIR.",
        failing="def train(hyperparameters):\n"
        '    with open("/home/me/data/train.csv") as file:\n        return file.readlines()\n',
        passing="import os\n\n\ndef train(hyperparameters, channel_input_dirs):\n"
        '    path = os.path.join(channel_input_dirs["training"], "train.csv")\n'
        "    with open(path) as file:\n        return file.readlines()\n",
        sources=("aws/sagemaker-python-sdk#1895", "aws/amazon-sagemaker-examples#3000"),
        check=foreign_path,
    ),
    ScriptRule(
        id="SD141",
        name="gpu-on-cpu",
        level="error",
        sentence="The script asks for a GPU, and the instance type has none.",
        cloud="MXNetError: GPU is not enabled; the job is Failed.",
        fix="`mx.gpu() if mx.context.num_gpus() else mx.cpu()`, or an instance with a GPU.",
        failing="import mxnet as mx\n\n\ndef train(hyperparameters):\n"
        "    return mx.nd.ones((2, 2), ctx=mx.gpu()).asnumpy().tolist()\n",
        passing="import mxnet as mx\n\n\ndef train(hyperparameters, num_gpus):\n"
        "    ctx = mx.gpu() if num_gpus else mx.cpu()\n"
        "    return mx.nd.ones((2, 2), ctx=ctx).asnumpy().tolist()\n",
        sources=("aws/sagemaker-python-sdk#4196", "apache/mxnet#4691", "MXNet 1.9.1, run on a CPU"),
        check=gpu_on_cpu,
        skips=_needs_cpu,
        example=Target(instance_type="ml.m5.large"),
    ),
    ScriptRule(
        id="SD142",
        name="hidden-failure",
        level="error",
        sentence="A failure ends the process as if all were well.",
        cloud="The job is Completed, with an empty or half-made model.",
        fix="Let the exception go on, or end with `sys.exit(1)`.",
        failing=_MAIN + "    try:\n        main()\n    except Exception as error:\n"
        "        print(error)\n        sys.exit(0)\n",
        passing=_MAIN + "    try:\n        main()\n    except Exception as error:\n"
        "        print(error)\n        sys.exit(1)\n",
        sources=("aws/sagemaker-python-sdk#3455", "sagemaker-training-toolkit trainer.py"),
        check=hidden_failure,
    ),
    ScriptRule(
        id="SD143",
        name="exit-under-legacy",
        level="warning",
        sentence="A legacy container takes sys.exit for success, whatever the code.",
        cloud="The job is Completed although the script gave up, and has no model.",
        fix="Raise an exception: its text becomes the FailureReason.",
        failing="import sys\n\n\ndef train(hyperparameters):\n    if not hyperparameters:\n"
        "        sys.exit(1)\n    return hyperparameters\n",
        passing="def train(hyperparameters):\n    if not hyperparameters:\n"
        '        raise ValueError("no hyperparameters")\n    return hyperparameters\n',
        sources=("sagemaker-container-support 1.1 training.py, run",),
        check=exit_under_legacy,
        skips=needs_legacy,
    ),
    ScriptRule(
        id="SD144",
        name="silent-logging",
        level="advice",
        sentence="In script mode nobody configures logging, and logging.info prints nothing.",
        cloud="The job's log lacks these lines, and metric definitions match nothing.",
        fix="Call `logging.basicConfig(level=logging.INFO)` under the main guard.",
        failing='import logging\nimport os\n\nif __name__ == "__main__":\n'
        '    logging.info("saving to %s", os.environ["SM_MODEL_DIR"])\n',
        passing='import logging\nimport os\n\nif __name__ == "__main__":\n'
        "    logging.basicConfig(level=logging.INFO)\n"
        '    logging.info("saving to %s", os.environ["SM_MODEL_DIR"])\n',
        sources=("aws/amazon-sagemaker-examples#319", "sagemaker-training-toolkit process.py",
                 "multi-model-server model_service_worker.py: serving has logging configured"),
        check=silent_logging,
        skips=needs_script_mode,
    ),
)  # fmt: skip
