"""CIFAR-10 with version 2 of the SageMaker Python SDK, in script mode on MXNet 1.9.

pip install 'sagemaker<3' pillow          # in an environment of its own
sagedock run -- python examples/cifar10/fit_sdk_v2.py --data cifar10-data
"""

import argparse
from pathlib import Path

import numpy as np
import sagemaker
from PIL import Image
from sagemaker.mxnet import MXNet

HERE = Path(__file__).resolve().parent
CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def main():
    parser = argparse.ArgumentParser(description="Train, deploy and ask with SDK v2.")
    parser.add_argument("--data", required=True, help="folder that data.py wrote")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    session = sagemaker.Session()
    inputs = session.upload_data(path=options.data, key_prefix="data/cifar10")
    estimator = MXNet(
        entry_point="train.py",
        source_dir=str(HERE / "script"),
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.p3.2xlarge",
        framework_version="1.9.0",
        py_version="py38",
        hyperparameters={"epochs": options.epochs},
        metric_definitions=[
            {"Name": "validation:accuracy", "Regex": "validation: accuracy=([0-9.]+)"}
        ],
    )
    estimator.fit({"training": inputs})

    predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m5.large")
    pictures = [
        np.asarray(Image.open(HERE / "pictures" / f"{name}.png").convert("RGB")).transpose(2, 0, 1)
        for name in CLASSES
    ]
    scores = np.array(predictor.predict(np.stack(pictures)))
    for name, row in zip(CLASSES, scores, strict=True):
        print(f"{name:>10} → {CLASSES[row.argmax()]}")
    predictor.delete_model()
    predictor.delete_endpoint()


if __name__ == "__main__":
    main()
