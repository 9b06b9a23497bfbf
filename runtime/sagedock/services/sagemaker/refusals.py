"""The control plane's refusals, in AWS's words where users have quoted them.

Wordings are those of the SDKs' and users' public error reports (control-plane reference, section
4); each function's name says when it is raised.
"""

from __future__ import annotations

from sagedock.errors import ResourceInUse, ValidationException


def training_job_not_found() -> ValidationException:
    return ValidationException("Requested resource not found.")


def training_job_exists(arn: str) -> ResourceInUse:
    return ResourceInUse(
        "Training job names must be unique within an AWS account and region, and a training job "
        f"with this name already exists ({arn})"
    )


def training_job_in_status(status: str) -> ValidationException:
    return ValidationException(
        f"The request was rejected because the training job is in status {status}."
    )


def not_found(noun: str, arn: str) -> ValidationException:
    """`noun`: model, endpoint configuration, endpoint. v1's deploy goes on only for this code and
    these words (sagemaker 1.72 session.py, `endpoint_from_production_variants`)."""
    return ValidationException(f'Could not find {noun} "{arn}".')


def already_exists(noun: str, arn: str) -> ValidationException:
    return ValidationException(f'Cannot create already existing {noun} "{arn}".')


def endpoint_in_progress(arn: str) -> ValidationException:
    """For every change of an endpoint in transition, DeleteEndpoint included."""
    return ValidationException(f'Cannot update in-progress endpoint "{arn}".')


def null_member(member: str) -> ValidationException:
    """As the service's own validation says it; for members that botocore's newer models no longer
    require, because only jobs of kinds that are not emulated go without."""
    return ValidationException(
        f"1 validation error detected: Value null at '{member}' failed to satisfy constraint: "
        "Member must not be null"
    )


def no_objects(uri: str, region: str, role: str, bucket: str) -> ValidationException:
    return ValidationException(
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        f"the bucket exists in the selected region ({region}), that objects exist under that S3 "
        f'prefix, and that the role "{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
    )


def no_model_data(uri: str) -> ValidationException:
    return ValidationException(f"Could not find model data at {uri}.")
