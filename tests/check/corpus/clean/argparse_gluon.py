# options: --framework-version 1.9.0 --instance-type ml.m5.large
"""Gluon in script mode: everything converted, a guard, serving functions beside it."""

from __future__ import print_function

import argparse
import json
import logging
import os

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon


def main(args, hosts):
    ctx = mx.gpu() if args.num_gpus > 0 else mx.cpu()
    net = gluon.nn.Dense(1)
    net.initialize(ctx=ctx)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": args.lr / len(hosts)})
    for epoch in range(args.epochs):
        data = mx.nd.array(np.ones((args.batch_size, 2)), ctx=ctx)
        with autograd.record():
            loss = net(data).sum()
        loss.backward()
        trainer.step(args.batch_size)
        logging.info("epoch %d", epoch)
    if args.current_host == hosts[0]:
        net.export(os.path.join(args.model_dir, "net"))


def model_fn(model_dir):
    return gluon.SymbolBlock.imports(
        model_dir + "/net-symbol.json", ["data"], model_dir + "/net-0000.params"
    )


def transform_fn(net, data, input_content_type, output_content_type):
    return json.dumps(net(mx.nd.array(json.loads(data))).asnumpy().tolist()), output_content_type


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--hosts", type=list, default=json.loads(os.environ["SM_HOSTS"]))
    parser.add_argument("--current-host", type=str, default=os.environ["SM_CURRENT_HOST"])
    parser.add_argument("--num-gpus", default=int(os.environ["SM_NUM_GPUS"]))
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    arguments = parse_args()
    main(arguments, arguments.hosts)
