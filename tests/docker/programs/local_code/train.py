"""Fits y = 2x + 1 with Gluon, on one host or on several through the parameter server; serves it."""

import argparse
import json
import os

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon


def train(arguments: argparse.Namespace) -> None:
    hosts = json.loads(os.environ["SM_HOSTS"])
    store = mx.kv.create("dist_sync" if len(hosts) > 1 else "local")
    x = np.load(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "x.npy"))
    data, label = mx.nd.array(x), mx.nd.array(2 * x + 1)
    net = gluon.nn.Dense(1)
    net.initialize(mx.init.Zero())
    rate = {"learning_rate": arguments.learning_rate / store.num_workers}
    trainer = gluon.Trainer(net.collect_params(), "sgd", rate, kvstore=store)
    for _ in range(arguments.epochs):
        with autograd.record():
            loss = ((net(data) - label) ** 2).mean()
        loss.backward()
        trainer.step(1)
    print(f"worker {store.rank} of {store.num_workers}: loss {loss.asscalar():.4f}", flush=True)
    if os.environ["SM_CURRENT_HOST"] == hosts[0]:
        net.save_parameters(os.path.join(arguments.model_dir, "net.params"))


def model_fn(model_dir):
    net = gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def transform_fn(net, data, content_type, accept):
    return json.dumps(net(mx.nd.array(json.loads(data))).asnumpy().tolist()), "application/json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=0.3)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    train(parser.parse_args())
