# finds: SD123
# reported: aws/sagemaker-python-sdk#302
import argparse
import os
import time

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=str, default=0.001)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    end = time.time() + 60 * abs(args.minutes)
    open(os.path.join(args.model_dir, f"weights-{end}"), "wb").close()
