# finds: SD104
# reported: aws/amazon-sagemaker-examples#4346
def train(hyperparameters, **kwargs):
    return {"slope": hyperparameters["slope"]}


def save(model, model_dir, epoch):
    with open("%s/model-%d" % (model_dir, epoch), "w") as file:
        file.write(str(model))
