import argparse
import os

import mxnet as mx
import sacremoses

from . import nets
from .nets import build


def run():
    parser = argparse.ArgumentParser()
    parser.add_argument("--units", type=int, default=2)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    options = parser.parse_args()
    net = build(options.units)
    net.initialize(ctx=mx.cpu())
    net.export(options.model_dir + "/" + nets.NAME + sacremoses.__name__)
