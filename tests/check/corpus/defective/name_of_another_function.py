# finds: SD133
# reported: aws/sagemaker-huggingface-inference-toolkit#7
"""`weights` is a name of two functions here, and not of the one that uses it."""

import json
import os


def load(folder):
    with open(os.path.join(folder, "weights.json")) as file:
        weights = json.load(file)
    return weights


def main(folder):
    with open(os.path.join(folder, "weights.json"), "w") as file:
        json.dump(weights, file)


if __name__ == "__main__":
    main(os.environ["SM_MODEL_DIR"])
