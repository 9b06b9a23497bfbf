"""Rules on the functions that an endpoint calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sagedock.check.rules.rule import ScriptRule, needs_syntax
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import Function, Module, positional
from sagedock.check.subjects.script import Script
from sagedock.check.target import OTHER_FRAMEWORKS, Generation, Target

_TRIPLE = ("input_fn", "predict_fn", "output_fn")
_COUNTS: dict[str, tuple[int, ...]] = {
    "model_fn": (1,),
    "transform_fn": (4,),
    "input_fn": (2, 3),
    "predict_fn": (2,),
    "output_fn": (2,),
}
"""How many arguments each is called with; input_fn of a Module has the model as the third."""

_CALLS = {
    "model_fn": "model_fn(model_dir)",
    "transform_fn": "transform_fn(model, data, content_type, accept)",
    "input_fn": "input_fn(data, content_type)",
    "predict_fn": "predict_fn(data, model)",
    "output_fn": "output_fn(prediction, accept)",
}
_MODELS = frozenset({"model", "net", "network", "block", "module", "mod"})
_DATA = frozenset({"data", "input_data", "input", "inputs", "input_object", "request", "x"})


def serving_parameters(script: Script, target: Target) -> Hits:
    generation = target.generation(script.entry)
    for module in script.served:
        for name, counts in _COUNTS.items():
            function = module.functions.get(name)
            if function is None:
                continue
            if not any(_takes(function, count) for count in counts):
                called = (
                    "predict_fn(model, data)" if _is_old_predict(name, generation) else _CALLS[name]
                )
                told = f"the container calls `{called}`, and this takes {_number(function)}"
                yield Hit.at(module, function, told)
            elif name == "predict_fn" and (told := _reversed(function, generation)):
                yield Hit.at(module, function, told)


def _is_old_predict(name: str, generation: Generation | None) -> bool:
    return name == "predict_fn" and generation == "legacy"


def _takes(function: Function, count: int) -> bool:
    arguments = function.args
    if any(default is None for default in arguments.kw_defaults):
        return False
    names = positional(function)
    least = len(names) - len(arguments.defaults)
    return least <= count and (count <= len(names) or arguments.vararg is not None)


def _number(function: Function) -> str:
    count = len(positional(function))
    return f"{count} argument{'s' if count != 1 else ''}"


def _reversed(function: Function, generation: Generation | None) -> str:
    """Why the order of predict_fn is wrong; "" where the names do not tell."""
    names = [argument.arg.lower() for argument in positional(function)][:2]
    if len(names) < 2 or generation is None:
        return ""
    first, second = names
    if generation == "script" and first in _MODELS and second in _DATA:
        return "from 1.3 on it is `predict_fn(data, model)`; here the model comes first"
    if generation == "legacy" and first in _DATA and second in _MODELS:
        return "up to 1.2.1 it is `predict_fn(model, data)`; here the data comes first"
    return ""


def transform_and_triple(script: Script, target: Target) -> Hits:
    for module in script.served:
        if "transform_fn" not in module.functions:
            continue
        for name in _TRIPLE:
            if (function := module.functions.get(name)) is not None:
                told = f"`{name}` beside `transform_fn`, which does all three steps"
                is_old = target.generation(script.entry) == "legacy"
                if is_old and _is_called_by(module, "transform_fn", name):
                    continue
                yield Hit.at(module, function, told, "warning" if is_old else "error")


def _is_called_by(module: Module, caller: str, name: str) -> bool:
    """Whether the function calls the other one, itself or by functions of this file."""
    seen: set[str] = set()
    waiting = [caller]
    while waiting:
        function = module.functions.get(waiting.pop())
        for node in ast.walk(function) if function is not None else ():
            called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if called == name:
                return True
            if called and called not in seen:
                seen.add(called)
                waiting.append(called)
    return False


def async_handler(script: Script, target: Target) -> Hits:
    for module in script.served:
        for name in _CALLS:
            function = module.functions.get(name)
            if isinstance(function, ast.AsyncFunctionDef):
                yield Hit.at(module, function, f"`{name}` is async, and nobody awaits it")


def returns_nothing(script: Script, target: Target) -> Hits:
    for module in script.served:
        for name in _PER_REQUEST:
            function = module.functions.get(name)
            if isinstance(function, ast.FunctionDef) and not _gives_a_value(module, function):
                told = f"no way through `{name}` returns a value: its caller gets None"
                yield Hit.at(module, function, told)


def _gives_a_value(module: Module, function: Function) -> bool:
    """Whether some way does, or all of the function is a refusal."""
    own = [node for node in ast.walk(function) if module.scope(node) is function]
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own):
        return True
    is_refusal = isinstance(function.body[-1], ast.Raise) and not any(
        isinstance(node, ast.If) for node in own
    )
    return is_refusal or any(isinstance(n, ast.Return) and n.value is not None for n in own)


_PER_REQUEST = ("transform_fn", "input_fn", "predict_fn", "output_fn")
_LOADS = frozenset(
    {"load_parameters", "load_params", "load_checkpoint", "imports", "import_model",
     "load_state_dict", "load_model", "from_pretrained"}
)  # fmt: skip
_SCALARS = frozenset({"asscalar", "item"})


def load_per_request(script: Script, target: Target) -> Hits:
    for module, call in _calls_per_request(script):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        kept = any(isinstance(above, (ast.If, ast.Try)) for above in module.around(call))
        if name in _LOADS and not kept:
            yield Hit.at(module, call, f"`{name}` is called for every request")


def element_by_element(script: Script, target: Target) -> Hits:
    for module, call in _calls_per_request(script):
        name = getattr(call.func, "attr", "")
        if name in _SCALARS and _is_element(module, call):
            told = f"`{name}` in a loop waits for each number by itself"
            yield Hit.at(module, call, told)


def _is_element(module: Module, call: ast.Call) -> bool:
    """Of an array that the loop goes through: its loop variable, or an element by its index. What
    the loop's body computes anew, such as the answer of one forward, is another matter."""
    loops = [a for a in module.around(call) if isinstance(a, _LOOPS)]
    of = getattr(call.func, "value", None)
    while isinstance(of, ast.Subscript):
        if loops:
            return True
        of = of.value
    targets = [t for loop in loops for t in _targets(loop)]
    return isinstance(of, ast.Name) and of.id in targets


_LOOPS = (ast.For, ast.ListComp, ast.SetComp, ast.GeneratorExp)


def _targets(loop: ast.AST) -> Iterator[str]:
    heads = [loop] if isinstance(loop, ast.For) else getattr(loop, "generators", [])
    for head in heads:
        yield from (n.id for n in ast.walk(head.target) if isinstance(n, ast.Name))


def _calls_per_request(script: Script) -> Iterator[tuple[Module, ast.Call]]:
    for module in script.served:
        for name in _PER_REQUEST:
            function = module.functions.get(name)
            for node in ast.walk(function) if function is not None else ():
                if isinstance(node, ast.Call):
                    yield module, node


def _by_mxnet(script: Script, target: Target) -> str:
    if reason := needs_syntax(script, target):
        return reason
    packages = frozenset().union(*(module.packages for module in script.served))
    if not target.is_mxnet(script.entry) and OTHER_FRAMEWORKS & packages:
        return "another framework's image may call these functions in its own way"
    return ""


def example(body: str) -> str:
    """A serving file with this body, as MXNet's images take it."""
    return f"import json\n\nimport mxnet as mx\n\n\n{body}"


_MODEL_FN = "def model_fn(model_dir):\n    return mx.gluon.nn.Dense(1)\n\n\n"
_TRANSFORM = (
    "def transform_fn(model, data, content_type, accept):\n    return json.dumps(data), accept\n"
)

RULES = (
    ScriptRule(
        id="SD111",
        name="serving-parameters",
        level="error",
        sentence="The container calls the serving functions by position, in its own order.",
        cloud="Every InvokeEndpoint answers ModelError 500: a TypeError, or data taken for the "
        "model.",
        fix="Use the order of the version: " + "; ".join(f"`{c}`" for c in _CALLS.values())
        + ". Up to 1.2.1 it is `predict_fn(model, data)`.",
        failing=example(_MODEL_FN + "def transform_fn(model, data):\n    return json.dumps(data)\n"
        ""),
        passing=example(_MODEL_FN + _TRANSFORM),
        sources=("aws/sagemaker-python-sdk#551", "aws/sagemaker-python-sdk#156",
                 "sagemaker-mxnet-inference-toolkit; sagemaker-mxnet-container 1.0 transformer.py"),
        check=serving_parameters,
        skips=_by_mxnet,
    ),
    ScriptRule(
        id="SD112",
        name="transform-and-triple",
        level="error",
        sentence="`transform_fn` goes without input_fn, predict_fn and output_fn.",
        cloud="From 1.4 on: ValueError, and every request answers 500. Before: the three are "
        "silently ignored.",
        fix="Keep `transform_fn`, or the three; not both.",
        failing=example(
            _MODEL_FN + _TRANSFORM + "\n\ndef input_fn(data, content_type):\n    return data\n"
        ),
        passing=example(_MODEL_FN + _TRANSFORM),
        sources=("sagemaker-mxnet-inference-toolkit handler_service.py",
                 "aws/amazon-sagemaker-examples#407"),
        check=transform_and_triple,
        skips=_by_mxnet,
    ),
    ScriptRule(
        id="SD113",
        name="async-handler",
        level="error",
        sentence="The container calls the serving functions plainly; a coroutine is no answer.",
        cloud="Every InvokeEndpoint answers ModelError 500: a coroutine cannot be sent.",
        fix="Write `def`; where you need asyncio, call `asyncio.run(…)` inside.",
        failing=example(_MODEL_FN + "async " + _TRANSFORM),
        passing=example(_MODEL_FN + _TRANSFORM),
        sources=("sagemaker-inference-toolkit transformer.py",),
        check=async_handler,
        skips=_by_mxnet,
    ),
    ScriptRule(
        id="SD114",
        name="load-per-request",
        level="advice",
        sentence="A model is loaded once, in model_fn, and handed to each request.",
        cloud="Nothing fails; every request waits until the model is loaded again.",
        fix="Load it in model_fn: what that returns is the first argument of transform_fn.",
        failing=example(
            "def model_fn(model_dir):\n    return model_dir\n\n\n"
            "def transform_fn(model_dir, data, content_type, accept):\n"
            "    net = mx.gluon.nn.Dense(1)\n"
            '    net.load_parameters(model_dir + "/net.params")\n'
            "    return json.dumps(net(mx.nd.array(json.loads(data))).asnumpy().tolist()), accept\n"
        ),
        passing=example(
            "def model_fn(model_dir):\n    net = mx.gluon.nn.Dense(1)\n"
            '    net.load_parameters(model_dir + "/net.params")\n    return net\n\n\n'
            "def transform_fn(net, data, content_type, accept):\n"
            "    return json.dumps(net(mx.nd.array(json.loads(data))).asnumpy().tolist()), accept\n"
        ),
        sources=("sagemaker-inference-toolkit transformer.py: model_fn is called once a worker",
                 "aws/sagemaker-python-sdk#1119"),
        check=load_per_request,
    ),
    ScriptRule(
        id="SD115",
        name="element-by-element",
        level="advice",
        sentence="An NDArray is converted as a whole; each number by itself is a wait of its own.",
        cloud="Nothing fails; a request with many numbers takes many times as long.",
        fix="`.asnumpy().tolist()` once, after the loop.",
        failing=example(
            _MODEL_FN + "def transform_fn(net, data, content_type, accept):\n"
            "    answer = net(mx.nd.array(json.loads(data)))\n"
            "    return json.dumps([row[0].asscalar() for row in answer]), accept\n"
        ),
        passing=example(
            _MODEL_FN + "def transform_fn(net, data, content_type, accept):\n"
            "    answer = net(mx.nd.array(json.loads(data)))\n"
            "    return json.dumps(answer[:, 0].asnumpy().tolist()), accept\n"
        ),
        sources=("MXNet 1.9.1 ndarray.py: asscalar copies one number, and waits for it",),
        check=element_by_element,
    ),
    ScriptRule(
        id="SD116",
        name="handler-returns-nothing",
        level="error",
        sentence="What a serving function returns is the answer, or what the next step works on.",
        cloud="Every request answers 500, or 200 without a prediction.",
        fix="Write `return` before the value.",
        failing=example(
            _MODEL_FN + "def transform_fn(net, data, content_type, accept):\n"
            "    answer = net(mx.nd.array(json.loads(data)))\n"
            "    json.dumps(answer.asnumpy().tolist()), accept\n"
        ),
        passing=example(
            _MODEL_FN + "def transform_fn(net, data, content_type, accept):\n"
            "    answer = net(mx.nd.array(json.loads(data)))\n"
            "    return json.dumps(answer.asnumpy().tolist()), accept\n"
        ),
        sources=("sagemaker-inference-toolkit transformer.py: takes what the functions return",
                 "aws/sagemaker-python-sdk tests/data/mxnet_mnist/"
                 "mnist_hosting_with_custom_handlers.py: output_fn"),
        check=returns_nothing,
    ),
)  # fmt: skip
