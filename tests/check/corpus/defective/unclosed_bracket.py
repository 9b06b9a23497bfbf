# finds: SD130
# reported: aws/sagemaker-python-sdk#134
def train(hyperparameters):
    return {"rate": hyperparameters.get("rate", 0.1)
