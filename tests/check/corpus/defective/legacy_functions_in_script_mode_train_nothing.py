# finds: SD102
# reported: aws/sagemaker-python-sdk#793
# options: --framework-version 1.9.0
import mxnet as mx
from mxnet import gluon


def train(hyperparameters, channel_input_dirs, num_gpus, **kwargs):
    net = gluon.nn.Dense(hyperparameters.get("classes", 10))
    net.initialize(ctx=mx.gpu() if num_gpus else mx.cpu())
    return net


def save(net, model_dir):
    net.save_parameters(model_dir + "/net.params")
