# finds: SD128
# reported: aws/amazon-sagemaker-examples#1740
# options: --channel training
import os


def train(channel_input_dirs, hyperparameters):
    return sorted(os.listdir(channel_input_dirs["validation"]))
