# finds: SD116
# reported: aws/sagemaker-python-sdk tests/data/mxnet_mnist/mnist_hosting_with_custom_handlers.py
import json
import os

import mxnet as mx


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(3)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def input_fn(data, content_type):
    return mx.nd.array(json.loads(data))


def predict_fn(rows, net):
    return net(rows)


def output_fn(answer, accept):
    if accept == "application/json":
        json.dumps(answer.asnumpy().tolist()), accept
    raise ValueError(f"{accept} is not served here")
