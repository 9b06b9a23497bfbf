# finds: SD106
# reported: aws/sagemaker-python-sdk#3455
"""The arguments are all there, and the model is saved nowhere."""

import argparse
import logging
import os


def fit(options):
    error = 1.0
    for _ in range(options.rounds):
        error *= options.rate
    return {"error": error}


def parsed():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.5)
    parser.add_argument("--model-dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--train", type=str, default=os.environ.get("SM_CHANNEL_TRAIN"))
    return parser.parse_args()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    options = parsed()
    logging.info(options)
    logging.info(fit(options))
