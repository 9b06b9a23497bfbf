# finds: SD112
# reported: sagemaker-mxnet-inference-toolkit handler_service.py
import json

import mxnet as mx


def model_fn(model_dir):
    return mx.gluon.nn.Dense(1)


def input_fn(data, content_type):
    return mx.nd.array(json.loads(data))


def transform_fn(net, data, content_type, accept):
    return json.dumps(net(input_fn(data, content_type)).asnumpy().tolist()), accept
