"""What a CreateTrainingJob that is checked beside a script says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sagedock.check.subjects.request import Request
from sagedock.check.subjects.script import DEFAULT_ENTRY_POINT
from sagedock.check.target import Target
from sagedock.check.wanted import Wanted
from sagedock.domain.images import MXNET, ImageReference


def with_job(target: Target, wanted: Wanted, requests: Sequence[Request]) -> Target:
    """With the image, the instances, the channels and the hyperparameters of the script's job,
    where one of the requests is for it; what the options say goes first."""
    jobs = [one for one in requests if one.operation == "CreateTrainingJob"]
    if len(jobs) != 1 or not _runs(jobs[0], wanted):
        return target
    (job,) = jobs
    image = ImageReference.parse(str(job.get("AlgorithmSpecification", "TrainingImage")))
    version = image.version if image.framework == MXNET.name else None
    instance = str(job.get("ResourceConfig", "InstanceType", default=""))
    channels = job.get("InputDataConfig", default=[])
    named = tuple(c["ChannelName"] for c in channels if "ChannelName" in c)
    passed = job.get("HyperParameters", default={})
    return replace(
        target,
        framework_version=target.framework_version or version,
        instance_type=target.instance_type or (instance if instance.count(".") == 2 else None),
        channels=named if target.channels is None else target.channels,
        hyperparameters=target.hyperparameters or tuple(passed),
    )


def _runs(job: Request, wanted: Wanted) -> bool:
    """Whether the job is the script's: the one that it names, where it names one."""
    assert wanted.path is not None
    program = str(job.get("HyperParameters", "sagemaker_program", default="")).strip('"')
    entry = wanted.entry_point if wanted.path.is_dir() else wanted.path.name
    return not program or Path(program) == Path(entry or DEFAULT_ENTRY_POINT)
