# finds: SD106
# reported: aws/sagemaker-mxnet-training-toolkit test/resources/sagemaker/code/train_multi_machine.py
# options: --framework-version 1.1.0
import os

import mxnet as mx


def train(hyperparameters, channel_input_dirs, **kwargs):
    net = mx.gluon.nn.Dense(1)
    net.initialize()
    net(mx.nd.ones((1, hyperparameters.get("width", 3))))
    net.save_parameters("net.params")


def save(net, model_dir):
    net.save_parameters(os.path.join(model_dir, "net.params"))
