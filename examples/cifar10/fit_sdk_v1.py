"""CIFAR-10 as the 2018 tutorial did it, with version 1 of the SageMaker Python SDK.

    pip install 'sagemaker<2' pillow          # in an environment of its own
    sagedock run -- python examples/cifar10/fit_sdk_v1.py --data cifar10-data

No framework version is named, so the SDK asks for MXNet 1.2: the legacy contract.
"""

import argparse
import os

import numpy as np
import sagemaker
from PIL import Image
from sagemaker import get_execution_role
from sagemaker.mxnet import MXNet

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()  # noqa: SIM905


def main():
    parser = argparse.ArgumentParser(description="Train, deploy and ask with SDK v1.")
    parser.add_argument("--data", required=True, help="folder that data.py wrote")
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()

    session = sagemaker.Session()
    inputs = session.upload_data(path=options.data, key_prefix="data/cifar10")
    estimator = MXNet(
        entry_point=os.path.join(HERE, "legacy", "train.py"),
        role=get_execution_role(),
        train_instance_count=1,
        train_instance_type="ml.p3.2xlarge",
        hyperparameters={"epochs": options.epochs},
    )
    estimator.fit(inputs)

    predictor = estimator.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
    for name in CLASSES:
        picture = Image.open(os.path.join(HERE, "pictures", name + ".png")).convert("RGB")
        pixels = np.asarray(picture).transpose(2, 0, 1)
        answer = predictor.predict(pixels[np.newaxis])
        print("%10s -> %s" % (name, CLASSES[int(answer)]))  # noqa: UP031
    estimator.delete_endpoint()


if __name__ == "__main__":
    main()
