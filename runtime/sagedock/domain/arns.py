"""Amazon Resource Names: built and read in one place.

Format: arn:partition:service:region:account:resource
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html).
"""

from __future__ import annotations

from dataclasses import dataclass


def partition_of(region: str) -> str:
    """aws, aws-cn or aws-us-gov, by the region's prefix."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def sagemaker_arn(region: str, account: str, kind: str, name: str) -> str:
    """The ARN of a SageMaker resource; `kind` as AWS spells it in ARNs ("training-job", "model",
    "endpoint-config", "endpoint"). AWS lower-cases the name of models, configurations and
    endpoints in ARNs (seen in users' reports of "Could not find endpoint" errors)."""
    shown = name if kind == "training-job" else name.lower()
    return f"arn:{partition_of(region)}:sagemaker:{region}:{account}:{kind}/{shown}"


def log_group_arn(region: str, account: str, group: str) -> str:
    return f"arn:{partition_of(region)}:logs:{region}:{account}:log-group:{group}"


@dataclass(frozen=True, slots=True)
class Arn:
    partition: str
    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def read(cls, text: str) -> Arn | None:
        """None when `text` is no ARN."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            return None
        return cls(*parts[1:])
