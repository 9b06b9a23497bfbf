"""S3 as the SDKs reach AWS's own host names: through the proxy and TLS, with framed bodies."""

from __future__ import annotations

import os
from typing import Any

import boto3
import pytest
from botocore.config import Config

from sagedock import Emulator
from sagedock.server.certificates import Authority


@pytest.fixture(scope="module")
def aws_s3(emulator: Emulator) -> Any:
    """A client that was never told of an endpoint."""
    arguments = {**emulator.client_kwargs, "endpoint_url": None}
    bundle = Authority(emulator.home.tls).bundle()
    config = Config(proxies={"https": emulator.url}, retries={"max_attempts": 0})
    return boto3.client("s3", verify=str(bundle), config=config, **arguments)


def test_large_objects_go_both_ways_through_tls(aws_s3: Any) -> None:
    body = os.urandom(3_000_000)
    aws_s3.create_bucket(Bucket="through-tls")

    aws_s3.put_object(Bucket="through-tls", Key="ü/k", Body=body)
    answer = aws_s3.get_object(Bucket="through-tls", Key="ü/k")

    assert answer["Body"].read() == body
    assert "ContentEncoding" not in answer
    checked = aws_s3.get_object(Bucket="through-tls", Key="ü/k", ChecksumMode="ENABLED")
    assert checked["ChecksumType"] == "FULL_OBJECT"
