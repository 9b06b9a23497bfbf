# finds: SD124
# reported: sagemaker-training-toolkit mapping.py, to_env_vars
import os

import mxnet as mx


def context(gpus):
    return [mx.gpu(i) for i in range(gpus)] if gpus > 0 else [mx.cpu()]


if __name__ == "__main__":
    num_gpus = os.environ["SM_NUM_GPUS"]
    net = mx.gluon.nn.Dense(1)
    net.initialize(ctx=context(num_gpus))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))
