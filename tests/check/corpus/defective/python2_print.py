# finds: SD131
# reported: aws/sagemaker-python-sdk#436
import json


def train(channel_input_dirs, hyperparameters):
    try:
        rate = json.loads(hyperparameters["rate"])
    except ValueError, error:
        print "no rate: %s" % error
        rate = 1L
    return rate
