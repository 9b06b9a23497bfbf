# finds: SD129
# reported: aws/sagemaker-python-sdk#787
# options: --framework-version 1.2.1
import os


def train(channel_input_dirs, hyperparameters):
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights"), "w") as file:
        file.write("1")
