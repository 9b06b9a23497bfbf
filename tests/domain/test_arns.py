"""ARNs: built as AWS writes them, read back into parts."""

from __future__ import annotations

import pytest

from sagedock.domain.arns import Arn, log_group_arn, sagemaker_arn


@pytest.mark.evidence("recorded", 'users\' reports of "Could not find endpoint" have lower case')
def test_names_are_lower_case_in_arns_of_all_but_training_jobs() -> None:
    base = "arn:aws:sagemaker:us-east-1:123456789012:"
    assert sagemaker_arn("us-east-1", "123456789012", "endpoint", "Mine") == base + "endpoint/mine"
    job = sagemaker_arn("us-east-1", "123456789012", "training-job", "Mine")
    assert job == base + "training-job/Mine"


@pytest.mark.evidence("docs", "reference-arns.html: partitions")
@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_partition_is_the_regions(region: str, partition: str) -> None:
    assert log_group_arn(region, "1", "/g") == f"arn:{partition}:logs:{region}:1:log-group:/g"


def test_an_arn_is_read_into_its_parts_and_anything_else_is_none() -> None:
    said = Arn.read("arn:aws:logs:us-east-1:1:log-group:/g:*")
    assert said == Arn("aws", "logs", "us-east-1", "1", "log-group:/g:*")
    assert Arn.read("role/x") is None
    assert Arn.read("urn:a:b:c:d:e") is None
