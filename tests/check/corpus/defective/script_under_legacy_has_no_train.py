# finds: SD101
# reported: aws/sagemaker-python-sdk#787
# options: --framework-version 1.2.1
import argparse
import os


def fit(folder, rounds):
    return sum(len(name) for name in os.listdir(folder)) * rounds


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=os.environ.get("SM_CHANNEL_TRAINING"))
    options = parser.parse_args()
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "sum"), "w") as file:
        file.write(str(fit(options.folder, options.rounds)))
