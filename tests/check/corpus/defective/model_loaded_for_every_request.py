# finds: SD114
# reported: aws/sagemaker-python-sdk#1119
import json
import os

import mxnet as mx


def model_fn(model_dir):
    return model_dir


def predict_fn(data, model_dir):
    symbol, arg_params, aux_params = mx.model.load_checkpoint(os.path.join(model_dir, "net"), 0)
    module = mx.mod.Module(symbol)
    module.bind([("data", data.shape)], for_training=False)
    module.set_params(arg_params, aux_params)
    return module.predict(mx.io.NDArrayIter(data))


def output_fn(prediction, accept):
    return json.dumps(prediction.asnumpy().tolist()), accept
