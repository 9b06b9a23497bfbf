# finds: SD135
# reported: aws/sagemaker-pytorch-inference-toolkit#91
import os

import mxnet as mx
import sklearn.preprocessing


def model_fn(model_dir):
    return mx.gluon.nn.Dense(1)


if __name__ == "__main__":
    scaled = sklearn.preprocessing.scale([1.0, 2.0])
    mx.nd.save(os.path.join(os.environ["SM_MODEL_DIR"], "scaled"), mx.nd.array(scaled))
