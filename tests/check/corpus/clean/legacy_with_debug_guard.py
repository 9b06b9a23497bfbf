# options: --framework-version 1.2.1
"""The guard only tries `train` out on a laptop: a legacy image never runs it."""

from mxnet.gluon import nn


def train(hyperparameters, channel_input_dirs, **kwargs):
    net = nn.Dense(hyperparameters.get("units", 1))
    net.initialize()
    return net


def save(net, model_dir):
    net.save_params("%s/net.params" % model_dir)


if __name__ == "__main__":
    train({"units": 2}, {"training": "/home/me/data"})
