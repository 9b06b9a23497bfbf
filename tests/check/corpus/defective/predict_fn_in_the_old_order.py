# finds: SD111
# reported: aws/sagemaker-python-sdk#1487
# options: --framework-version 1.9.0
import os

from mxnet import gluon


def model_fn(model_dir):
    return gluon.nn.Dense(1)


def predict_fn(model, data):
    return model(data)


if __name__ == "__main__":
    net = gluon.nn.Dense(1)
    net.initialize()
    net.save_parameters(os.environ["SM_MODEL_DIR"] + "/net.params")
