# finds: SD106
# reported: aws/sagemaker-python-sdk#578
# options: --framework-version 1.4.1
"""Up to 1.2.1 the container called `save`; here nobody does."""

import argparse
import os

import mxnet as mx


def train(epochs):
    net = mx.gluon.nn.Dense(1)
    net.initialize()
    for _ in range(epochs):
        net(mx.nd.ones((1, 3)))
    return net


def save(net, model_dir):
    net.save_parameters(os.path.join(model_dir, "net.params"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    train(parser.parse_args().epochs)
