# finds: SD141
# reported: aws/sagemaker-python-sdk#4196
# options: --instance-type ml.c5.xlarge
from mxnet import context, gluon, nd


def train(hyperparameters, channel_input_dirs):
    device = context.gpu(0)
    return nd.ones((1,), ctx=device).asnumpy().tolist()


def save(model, model_dir):
    gluon.nn.Dense(1).save_parameters(model_dir + "/net.params")
