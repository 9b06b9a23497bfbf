# finds: SD143
# reported: aws/sagemaker-containers#202
import os
import sys


def train(channel_input_dirs, hyperparameters):
    if not os.listdir(channel_input_dirs["training"]):
        print("no data")
        sys.exit(3)
    return [1]
