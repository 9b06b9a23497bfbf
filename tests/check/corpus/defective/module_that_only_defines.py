# finds: SD102
# reported: aws/sagemaker-python-sdk#578
import os


def main():
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights"), "w") as file:
        file.write("1")
