# finds: SD107
# reported: aws/amazon-sagemaker-examples#379
import argparse
import json
import os

import mxnet as mx


def train(epochs, folder):
    net = mx.gluon.nn.Dense(epochs)
    net.initialize()
    net.save_parameters(os.path.join(folder, "net.params"))


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def transform_fn(net, data, content_type, accept):
    return json.dumps(net(mx.nd.array(json.loads(data))).asnumpy().tolist()), accept


parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=1)
arguments, _ = parser.parse_known_args()
train(arguments.epochs, os.environ.get("SM_MODEL_DIR", "."))
