# finds: SD128
# reported: aws/sagemaker-python-sdk#332
# options: --channel training
import os


def train(channel_input_dirs, hyperparameters):
    return sorted(os.listdir(channel_input_dirs["validation"]))
