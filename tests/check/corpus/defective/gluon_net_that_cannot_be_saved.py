# finds: SD105
# reported: sagemaker-mxnet-container 1.0 train.py, default_save; aws/sagemaker-python-sdk#616
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
