"""Request bodies for the examples of rules: small, whole, and right but for what is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-training:1.9.0-cpu-py38"
SERVING_IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"
LEGACY_IMAGE = "520713654638.dkr.ecr.us-east-1.amazonaws.com/sagemaker-mxnet:1.1.0-cpu-py2"
ROLE = "arn:aws:iam::111122223333:role/SageMaker"
CODE: Mapping[str, str] = {
    "sagemaker_program": "train.py",
    "sagemaker_submit_directory": "s3://my-data/code/sourcedir.tar.gz",
}


def channel(name: str = "training", **more: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://my-data/{name}"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, **more}


def training(**changed: Any) -> str:
    """A CreateTrainingJob body; a member that is changed to None is left out."""
    return _body(
        {
            "TrainingJobName": "digits-1",
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {**CODE, "epochs": "3"},
            "InputDataConfig": [channel()],
            "OutputDataConfig": {"S3OutputPath": "s3://my-data/models"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 10,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        },
        changed,
    )


def created_model(**container: Any) -> str:
    """A CreateModel body; `container` changes its PrimaryContainer."""
    primary = {"Image": SERVING_IMAGE, "ModelDataUrl": "s3://my-data/models/model.tar.gz"}
    kept = {name: value for name, value in {**primary, **container}.items() if value is not None}
    return _body({"ModelName": "digits", "ExecutionRoleArn": ROLE, "PrimaryContainer": kept}, {})


def endpoint_config(*variants: Mapping[str, Any]) -> str:
    """A CreateEndpointConfig body."""
    found = variants or (variant(),)
    return _body({"EndpointConfigName": "digits", "ProductionVariants": list(found)}, {})


def variant(name: str = "AllTraffic", **changed: Any) -> dict[str, Any]:
    whole = {
        "VariantName": name,
        "ModelName": "digits",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


def altered(body: str, part: str, into: str) -> str:
    """The body with another text in the place of one that is in it."""
    assert part in body, part
    return body.replace(part, into)


def transform(**changed: Any) -> str:
    """A CreateTransformJob body."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://my-data/pictures"}}
    return _body(
        {
            "TransformJobName": "digits-1",
            "ModelName": "digits",
            "TransformInput": {"DataSource": source, "ContentType": "text/csv"},
            "TransformOutput": {"S3OutputPath": "s3://my-data/answers"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        },
        changed,
    )


def _body(whole: Mapping[str, Any], changed: Mapping[str, Any]) -> str:
    merged = {**whole, **changed}
    kept = {name: value for name, value in merged.items() if value is not None}
    return json.dumps(kept, indent=2) + "\n"
