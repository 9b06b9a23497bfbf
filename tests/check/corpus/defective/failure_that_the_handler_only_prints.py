# finds: SD117
# reported: aws/amazon-sagemaker-examples#1809
import json
import os

import mxnet as mx


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def transform_fn(net, data, content_type, accept):
    try:
        rows = mx.nd.array(json.loads(data)["instances"])
        pred = net(rows).asnumpy()
    except Exception as error:
        print("prediction failed:", error)
    return json.dumps(pred.tolist()), accept


if __name__ == "__main__":
    net = mx.gluon.nn.Dense(1)
    net.initialize()
    net(mx.nd.ones((1, 2)))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
