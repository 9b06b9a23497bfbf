# options: --framework-version 1.9.0
"""Python 3.8 takes a parenthesis after `with`, if it holds one expression."""

import contextlib
import os

import mxnet as mx

if __name__ == "__main__":
    with (mx.Context("cpu", 0)):
        net = mx.gluon.nn.Dense(1)
        net.initialize()
        net(mx.nd.zeros((1, 2)))
    with (mx.cpu() if net else contextlib.nullcontext()) as context:
        print(context)
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
