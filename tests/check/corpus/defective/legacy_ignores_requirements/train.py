# finds: SD134
# reported: aws/sagemaker-python-sdk#182
import mxnet as mx
import sacremoses


def train(hyperparameters):
    mx.random.seed(1)
    return [sacremoses.__version__]
