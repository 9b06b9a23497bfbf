# finds: SD117
# reported: h2oai/h2o3-sagemaker#12
import json
import os

import mxnet as mx
import numpy as np


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def input_fn(body, content_type):
    if content_type == "application/json":
        rows = json.loads(body)
    elif content_type == "text/csv":
        rows = [[float(word) for word in line.split(",")] for line in body.splitlines()]
    return mx.nd.array(rows)


def predict_fn(data, net):
    return net(data).asnumpy()


def output_fn(prediction, accept):
    if accept == "application/json":
        return json.dumps(prediction.tolist()), accept
    elif accept == "text/csv":
        return "\n".join(str(value) for value in np.ravel(prediction)), accept


if __name__ == "__main__":
    net = mx.gluon.nn.Dense(1)
    net.initialize()
    net(mx.nd.ones((1, 2)))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
