# finds: SD142
# reported: aws/sagemaker-training-toolkit#82
import os
import sys
import traceback


def train():
    raise RuntimeError(os.environ["SM_MODEL_DIR"])


if __name__ == "__main__":
    try:
        train()
    except Exception:
        traceback.print_exc()
        sys.exit(0)
