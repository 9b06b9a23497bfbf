import json
import os

import mxnet as mx


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(2)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def transform_fn(net, data, content_type, accept):
    outputs = []
    for row in json.loads(data):
        output = net(mx.nd.array([row]))
        prediction = mx.nd.argmax(output, axis=1)
        outputs.append(int(prediction.asscalar()))
    return json.dumps(outputs), accept
