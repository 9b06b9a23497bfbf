# finds: SD115
# reported: MXNet 1.9.1 ndarray.py, asscalar
import json

import mxnet as mx


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(10)
    net.load_parameters(model_dir + "/net.params")
    return net


def transform_fn(net, data, content_type, accept):
    answer = net(mx.nd.array(json.loads(data)))
    scores = []
    for row in answer:
        for number in row:
            scores.append(number.asscalar())
    return json.dumps(scores), accept
