"""What `sagedock check` of a long script takes, from the start of the program to its end.

    python benchmarks/check.py [--rounds 9] [--lines 2000]

The script is read and not run. The floors are measured in the same round, in turn: starting the
same Python, the same Python when it parses the script and does nothing with it, and `ruff check`,
another program that looks at every line. Medians over rounds are printed, with their ratio to the
time of parsing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

HEAD = '''"""Trains a network of many parts."""

import argparse
import json
import logging
import os

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING"))
    return parser.parse_args()
'''
PART = '''

class Block{n}(nn.HybridBlock):
    """Two convolutions and a way past them."""

    def __init__(self, channels, stride=1, downsample=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.Conv2D(channels, kernel_size=3, strides=stride, padding=1))
            self.body.add(nn.BatchNorm(), nn.Activation("relu"))
            self.downsample = nn.Conv2D(channels, 1, stride) if downsample else None

    def hybrid_forward(self, F, x):
        residual = x if self.downsample is None else self.downsample(x)
        return F.Activation(residual + self.body(x), act_type="relu")


def load_{n}(folder, batch_size, rank=0, hosts=1):
    names = sorted(os.listdir(folder))
    images, labels = [], []
    for name in [name for number, name in enumerate(names) if number % hosts == rank]:
        path = os.path.join(folder, name)
        if not path.endswith(".npy"):
            logger.warning("left aside: %s", path)
            continue
        array = np.load(path)
        images.append(array[:, :-1].reshape((-1, 3, 32, 32)) / 255.0 - 0.5)
        labels.append(array[:, -1].astype("int32"))
    dataset = gluon.data.ArrayDataset(np.concatenate(images), np.concatenate(labels))
    return gluon.data.DataLoader(dataset, batch_size=batch_size, shuffle=True, num_workers=2)


def evaluate_{n}(net, loader, context):
    metric, losses = mx.metric.Accuracy(), []
    for data, label in loader:
        output = net(data.as_in_context(context))
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(output, label.as_in_context(context))
        losses.append(float(loss.mean().asscalar()))
        metric.update([label], [output])
    name, value = metric.get()
    logger.info("part %d: %s=%.4f loss=%.4f", {n}, name, value, sum(losses) / len(losses))
    return {{name: value, "loss": sum(losses) / max(1, len(losses))}}
'''
TAIL = """

def train(args):
    net = nn.HybridSequential()
    net.add(Block0(16), nn.Dense(10))
    net.initialize(mx.init.Xavier())
    loader = load_0(args.training, args.batch_size)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": args.learning_rate})
    for epoch in range(args.epochs):
        for data, label in loader:
            with autograd.record():
                loss = gluon.loss.SoftmaxCrossEntropyLoss()(net(data), label)
            loss.backward()
            trainer.step(data.shape[0])
        print(json.dumps({"epoch": epoch, **evaluate_0(net, loader, mx.cpu())}))
    net.export(os.path.join(args.model_dir, "model"))


if __name__ == "__main__":
    train(parse_args())
"""
PARSES = "import ast, sys; ast.parse(open(sys.argv[1], encoding='utf-8').read())"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--lines", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "train.py")
        script.write_text(long_script(arguments.lines), encoding="utf-8")
        lines = len(script.read_text(encoding="utf-8").splitlines())
        measure(script, lines, arguments.rounds)


def long_script(lines: int) -> str:
    """Of about so many lines, with nothing to find in it."""
    length = PART.count("\n")
    parts = max(1, round((lines - HEAD.count("\n") - TAIL.count("\n")) / length))
    return HEAD + "".join(PART.format(n=number) for number in range(parts)) + TAIL


def measure(script: Path, lines: int, rounds: int) -> None:
    ways = {
        "starting Python": [sys.executable, "-c", "pass"],
        "parsing the script": [sys.executable, "-c", PARSES, str(script)],
        "ruff check": [str(Path(sys.executable).with_name("ruff")), "check", "--isolated",
                       "--no-cache", str(script)],
        "sagedock check": [str(Path(sys.executable).with_name("sagedock")), "check", str(script)],
    }  # fmt: skip
    # As installed: without byte code each start would compile sagedock and click anew.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    taken: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, words in ways.items():
            began = time.perf_counter()
            subprocess.run(
                words, cwd=script.parent, env=environment, capture_output=True, check=True
            )
            if number:  # the first of everything loads code and warms caches
                taken[name].append(time.perf_counter() - began)
    print(f"a script of {lines} lines; medians of {rounds} rounds, seconds; ratio to parsing it")
    floor = statistics.median(taken["parsing the script"])
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        print(f"  {name:<22}{median:8.3f}  {median / floor:6.2f}")


if __name__ == "__main__":
    main()
