# finds: SD131
# reported: aws/sagemaker-python-sdk#446
def train(channel_input_dirs, hyperparameters):
    rounds = hyperparameters["rounds"] if hyperparameters.has_key("rounds") else 3
    return [round for round in xrange(rounds)]
