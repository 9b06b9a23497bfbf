# finds: SD121
# reported: aws/sagemaker-mxnet-training-toolkit#36
"""argparse gives a default that is a text to `type` too: one host is ten characters."""

import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--hosts", type=list, default=os.environ["SM_HOSTS"])
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    args = parser.parse_args()
    print("alone" if len(args.hosts) == 1 else "together")
    open(os.path.join(args.model_dir, "weights"), "wb").close()
