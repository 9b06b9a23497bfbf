# options: --framework-version 1.9.0 --instance-type ml.c5.xlarge
import argparse
import io
import os

import mxnet as mx
import numpy as np


def model_fn(model_dir):
    symbol, arg, aux = mx.model.load_checkpoint(os.path.join(model_dir, "model"), 0)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", (1, 4))], for_training=False)
    module.set_params(arg, aux)
    return module


def input_fn(data, content_type, model):
    return mx.io.NDArrayIter(mx.nd.array(np.load(io.BytesIO(data))), batch_size=1)


def predict_fn(data, model):
    return model.predict(data)


def output_fn(prediction, accept):
    buffer = io.BytesIO()
    np.save(buffer, prediction.asnumpy())
    return buffer.getvalue(), "application/x-npy"


def pick():
    if not mx.context.num_gpus():
        return mx.cpu()
    return mx.gpu()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", default="3")
    args = parser.parse_args()
    epochs = int(args.epochs)
    module = mx.mod.Module(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=1), context=pick())
    module.bind([("data", (epochs, 4))], label_shapes=None)
    module.init_params()
    module.save_checkpoint(os.path.join(os.environ["SM_MODEL_DIR"], "model"), 0)
