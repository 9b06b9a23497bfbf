"""Rules on the ways through the serving functions: each of them ends with a value."""

from __future__ import annotations

import ast

from sagedock.check.rules.rule import ScriptRule, needs_syntax
from sagedock.check.rules.serving_rules import example
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.module import positional
from sagedock.check.subjects.script import Script
from sagedock.check.subjects.ways import Gap, gaps
from sagedock.check.target import Target

_ASKED = {"transform_fn": (2, 3), "input_fn": (1,), "predict_fn": (), "output_fn": (1,)}
"""Which of their parameters are types, as the client named them."""


def way_without_a_value(script: Script, target: Target) -> Hits:
    for module in script.served:
        for name, places in _ASKED.items():
            function = module.functions.get(name)
            if not isinstance(function, ast.FunctionDef):
                continue
            names = [argument.arg for argument in positional(function)]
            asked = [names[place] for place in places if place < len(names)]
            for gap in gaps(function, asked):
                yield Hit.at(module, gap.node, _told(name, gap, asked))


def _told(function: str, gap: Gap, asked: list[str]) -> str:
    if isinstance(gap.branch, ast.ExceptHandler):
        way = "where the `try` fails"
    else:
        read = {n.id for n in ast.walk(gap.branch.test) if isinstance(n, ast.Name)}
        way = f"for any other {next(name for name in asked if name in read)}"
    if gap.name:
        return f"`{gap.name}` has no value {way}: UnboundLocalError, which tells nobody why"
    return f"{way} `{function}` returns nothing: its caller gets None"


_MODEL_FN = "def model_fn(model_dir):\n    return mx.gluon.nn.Dense(1)\n\n\n"
_PREDICT = "def predict_fn(data, net):\n    return net(mx.nd.array(data)).asnumpy().tolist()\n\n\n"
_OUTPUT = "def output_fn(prediction, accept):\n    return json.dumps(prediction), accept\n\n\n"

RULES = (
    ScriptRule(
        id="SD117",
        name="way-without-a-value",
        level="warning",
        sentence="Every way through a serving function has a value: for each type that a client "
        "may name, and behind each failure that is caught.",
        cloud="ModelError 500 with a TypeError or an UnboundLocalError, in place of a refusal that "
        "names the type, or of the failure itself.",
        fix="End the chain with `else: raise ValueError(content_type)`; let what fails raise.",
        failing=example(
            _MODEL_FN + _PREDICT + _OUTPUT + "def input_fn(data, content_type):\n"
            '    if content_type == "application/json":\n        rows = json.loads(data)\n'
            "    return rows\n"
        ),
        passing=example(
            _MODEL_FN + _PREDICT + _OUTPUT + "def input_fn(data, content_type):\n"
            '    if content_type != "application/json":\n        raise ValueError(content_type)\n'
            "    return json.loads(data)\n"
        ),
        sources=("aws/amazon-sagemaker-examples#1809", "h2oai/h2o3-sagemaker#12",
                 "sagemaker-inference-toolkit transformer.py: takes what the functions return"),
        check=way_without_a_value,
        skips=needs_syntax,
    ),
)  # fmt: skip
