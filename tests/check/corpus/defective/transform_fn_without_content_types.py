# finds: SD111
# reported: aws/sagemaker-python-sdk#636
import json

import mxnet as mx


def model_fn(model_dir):
    return mx.gluon.nn.Dense(1)


def transform_fn(net, request_body, content_type):
    return json.dumps(net(mx.nd.array(json.loads(request_body))).asnumpy().tolist())
