# finds: SD123
# reported: aws/sagemaker-python-sdk#142
import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate", default=0.1)
parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
settings = vars(parser.parse_args())
rate = settings["learning_rate"]
for step in range(3):
    print(rate / 10, step, settings["model_dir"])
