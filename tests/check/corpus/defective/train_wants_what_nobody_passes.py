# finds: SD103
# reported: aws/sagemaker-python-sdk#436
import logging


def train(channel_input_dirs, hyperparameters, learning_rate, num_gpus):
    logging.info("%s %s %s", channel_input_dirs, learning_rate, num_gpus)
    return hyperparameters
