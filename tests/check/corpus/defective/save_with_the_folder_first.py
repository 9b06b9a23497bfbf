# finds: SD104
# reported: sagemaker-mxnet-container 1.0 train.py
import os

from mxnet import gluon


def train(hyperparameters, **kwargs):
    net = gluon.nn.Dense(int(hyperparameters.get("classes", 10)))
    net.initialize()
    return net


def save(model_dir, net):
    net.save_parameters(os.path.join(model_dir, "net.params"))
