# finds: SD132
# reported: aws/amazon-sagemaker-examples#3444
import os

import mxnet as mx


def kind(name):
    match name:
        case "sgd" | "nag":
            return mx.optimizer.create(name)
        case _:
            return mx.optimizer.create("adam")


if __name__ == "__main__":
    print(kind("sgd"), os.environ["SM_MODEL_DIR"])
