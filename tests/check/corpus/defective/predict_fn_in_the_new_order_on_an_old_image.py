# finds: SD111
# reported: aws/amazon-sagemaker-examples#407
# options: --framework-version 1.1
from mxnet import gluon


def train(hyperparameters):
    return {"rate": hyperparameters["rate"]}


def model_fn(model_dir):
    return gluon.nn.Dense(1)


def predict_fn(input_data, model):
    return model(input_data)
