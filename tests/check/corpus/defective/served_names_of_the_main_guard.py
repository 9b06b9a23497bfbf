# finds: SD133
# reported: aws/sagemaker-python-sdk tests/data/mxnet_mnist/mnist_neo.py: what its guard imports is for training only
"""As a program it finds `scale`; imported by the endpoint it has none."""

import argparse
import json
import os


def model_fn(model_dir):
    with open(os.path.join(model_dir, "slope.json")) as file:
        return json.load(file)


def scaled(rows):
    return [row / scale for row in rows]


def transform_fn(model, data, content_type, accept):
    return json.dumps([model * row for row in scaled(json.loads(data))]), accept


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=255.0)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()
    scale = args.scale
    with open(os.path.join(args.model_dir, "slope.json"), "w") as file:
        json.dump(scaled([1.0])[0], file)
