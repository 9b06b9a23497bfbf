# finds: SD105
# reported: aws/sagemaker-python-sdk#608
import mxnet as mx
from mxnet.gluon import nn
from mxnet.gluon.model_zoo import vision


class Scaled(nn.HybridSequential):
    pass


def build(name):
    if name == "resnet":
        return vision.get_model("resnet18_v1", classes=10)
    return Scaled()


def train(hyperparameters, channel_input_dirs):
    network = build(hyperparameters.get("net", "resnet"))
    network.initialize(mx.init.Xavier())
    return network
