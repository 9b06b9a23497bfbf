# finds: SD121
# reported: aws/sagemaker-python-sdk#4247
import argparse
import json
import os


def train(rows, options):
    quick = options.quick
    if quick:
        rows = rows[:10]
    return {"sum": sum(rows)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", type=str, default=False)
    parser.add_argument("--model-dir", type=str, default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    with open(os.path.join(args.model_dir, "weights.json"), "w") as file:
        json.dump(train(list(range(100)), args), file)
