"""SageMaker's own local mode with an image of ours: fit, and deploy and predict on one host.

    local_mode.py IMAGE HOSTS FOLDER

No emulator runs and no S3 answers: data, code and model are folders. Needs the SageMaker SDK v2
with its local mode, Docker and Docker's compose.
"""

import socket
import sys
from pathlib import Path

import boto3
import numpy as np
from sagemaker.deserializers import JSONDeserializer
from sagemaker.local import LocalSession
from sagemaker.mxnet import MXNet
from sagemaker.serializers import JSONSerializer

CODE = Path(__file__).with_name("local_code")
NO_TELEMETRY = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def main(image: str, hosts: int, folder: Path) -> None:
    (folder / "data").mkdir()
    np.save(folder / "data" / "x.npy", np.linspace(-1, 1, 64).reshape(64, 1))
    session = LocalSession(boto_session=boto3.Session(region_name="us-east-1"))
    session.config = {"local": {"local_code": True, "serving_port": free_port()}}
    session.sagemaker_config = NO_TELEMETRY
    estimator = MXNet(
        entry_point="train.py",
        source_dir=str(CODE),
        role="arn:aws:iam::000000000000:role/local",
        image_uri=image,
        framework_version="1.9.0",
        py_version="py38",
        instance_count=hosts,
        instance_type="local",
        output_path=f"file://{folder}/output",
        # Never used, for the code stays local; without it the SDK asks S3 for a bucket.
        code_location="s3://nowhere",
        hyperparameters={"epochs": 60},
        distribution={"parameter_server": {"enabled": hosts > 1}},
        sagemaker_session=session,
    )
    estimator.fit({"train": f"file://{folder}/data"})
    print("model at", estimator.model_data)
    if hosts > 1:
        return
    predictor = estimator.deploy(
        1, "local", serializer=JSONSerializer(), deserializer=JSONDeserializer()
    )
    try:
        print("predicted", predictor.predict([[0.5], [1.0]]))
    finally:
        predictor.delete_endpoint()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port: int = holder.getsockname()[1]
        return port


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
