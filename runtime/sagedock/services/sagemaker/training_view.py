"""What the API shows of a training job."""

from __future__ import annotations

from typing import Any

from sagedock.domain.resource import from_epoch
from sagedock.domain.training import TrainingJob

_DEFAULTS = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
    "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
}
"""Members that the service answers also where they were not sent (the flags) or that its answer
must have (StoppingCondition, one day by API_StoppingCondition.html)."""


def described(job: TrainingJob) -> dict[str, Any]:
    """DescribeTrainingJob: the request as it was sent, and the job's state over it.

    OutputDataConfig has a KmsKeyId in any case, "" when there is none: SDK v2's `attach` indexes
    it (sagemaker 2.x estimator.py, `_prepare_init_params_from_job_description`).
    """
    record = {
        **_DEFAULTS,
        **job.request,
        **summarized(job),
        "OutputDataConfig": {"KmsKeyId": "", **job.request["OutputDataConfig"]},
        "TrainingStartTime": job.training_started,
        "FailureReason": job.failure_reason,
        "SecondaryStatusTransitions": [
            {
                "Status": step.status,
                "StartTime": step.start,
                **({"EndTime": step.end} if step.end else {}),
                "StatusMessage": step.message,
            }
            for step in job.transitions
        ],
    }
    if job.model_artifacts is not None:
        record["ModelArtifacts"] = {"S3ModelArtifacts": job.model_artifacts}
    if job.metrics:
        record["FinalMetricDataList"] = [
            {**metric, "Timestamp": from_epoch(metric["Timestamp"])} for metric in job.metrics
        ]
    seconds = job.training_seconds
    if seconds is not None:
        record["TrainingTimeInSeconds"] = record["BillableTimeInSeconds"] = seconds
    if "ProfilerConfig" in job.request:
        # Nothing here takes a profile, and we do not say that something does.
        record["ProfilingStatus"] = "Disabled"
    return record


def summarized(job: TrainingJob) -> dict[str, Any]:
    """An entry of ListTrainingJobs."""
    return {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": job.created,
        "TrainingEndTime": job.training_ended,
        "LastModifiedTime": job.modified,
        "TrainingJobStatus": job.status,
        "SecondaryStatus": job.secondary_status,
    }
