# options: --framework-version 1.2.1 --channel training --instance-type ml.m4.xlarge
"""A Module under the legacy contract: the default save is enough."""

import logging
import os

import mxnet as mx

logging.getLogger().setLevel(logging.DEBUG)


def build_graph():
    data = mx.sym.var("data")
    fc = mx.sym.FullyConnected(mx.sym.flatten(data), num_hidden=10)
    return mx.sym.SoftmaxOutput(fc, name="softmax")


def train(current_host, channel_input_dirs, hyperparameters, hosts, num_cpus, num_gpus):
    kvstore = "local" if len(hosts) == 1 else "dist_device_sync" if num_gpus > 0 else "dist_sync"
    devices = [mx.gpu(i) for i in range(num_gpus)] if num_gpus > 0 else mx.cpu()
    batch_size = hyperparameters.get("batch_size", 100)
    images = mx.nd.load(os.path.join(channel_input_dirs["training"], "images.nd"))
    module = mx.mod.Module(symbol=build_graph(), context=devices)
    module.fit(
        mx.io.NDArrayIter(images[0], images[1], batch_size=batch_size),
        kvstore=kvstore,
        num_epoch=hyperparameters["epochs"],
        optimizer_params={"learning_rate": float(hyperparameters.get("learning_rate", 0.1))},
        batch_end_callback=mx.callback.Speedometer(batch_size, 100),
    )
    return module
