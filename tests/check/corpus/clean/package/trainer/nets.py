from mxnet import gluon

NAME = "dense"


def build(units):
    return gluon.nn.Dense(units)
