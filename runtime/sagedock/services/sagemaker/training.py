"""Training jobs: create, describe, list, stop, update, delete."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sagedock.aws.model import project
from sagedock.domain.arns import sagemaker_arn
from sagedock.domain.training import TrainingJob
from sagedock.errors import ResourceInUse, ValidationException
from sagedock.services.listing import ListRules, find_page
from sagedock.services.operation import Answer, Context, Held, Request, operation
from sagedock.services.sagemaker import refusals
from sagedock.services.sagemaker.rooms import ObjectLookup, TrainingStarter
from sagedock.services.sagemaker.tag_rules import checked_tags
from sagedock.services.sagemaker.training_rules import check_training_data, check_training_job
from sagedock.services.sagemaker.training_view import described, summarized
from sagedock.store.resources import AlreadyExists, NotFound, Outdated, Resources

_LIST = ListRules("ListTrainingJobs", ascending=True, status_after_paging=True)
"""The API page: ascending by default; and of MaxResults jobs only those with StatusEquals are
answered, so that a page may have fewer."""

_DEBUGGABLE = ("Downloading", "Training")


class TrainingOperations:
    """https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html and its
    neighbours."""

    service = "sagemaker"

    def __init__(
        self, jobs: Resources[TrainingJob], training: TrainingStarter, objects: ObjectLookup
    ) -> None:
        self._jobs, self._training, self._objects = jobs, training, objects

    @operation("CreateTrainingJob")
    def create(self, request: Request, context: Context) -> Answer:
        """Record the job and start it; all checks come before anything is written."""
        name = request["TrainingJobName"]
        arn = sagemaker_arn(context.region, context.account, TrainingJob.kind, name)
        check_training_job(request)
        tags = checked_tags(request.get("Tags", ()))
        self._refuse_taken(name)
        check_training_data(request, self._objects, context.region)
        sent = {member: value for member, value in request.items() if member != "Tags"}
        try:
            job = self._jobs.add(TrainingJob.requested(name, arn, sent, context.now()), tags)
        except AlreadyExists as taken:
            raise refusals.training_job_exists(taken.existing) from None
        self._training.start(job)
        return {"TrainingJobArn": job.arn}

    @operation("DescribeTrainingJob")
    def describe(self, request: Request, context: Context) -> Answer | Held:
        """The request as sent, and the state; held while the job goes on."""
        job = self._job(request["TrainingJobName"])
        answer = project("sagemaker", "DescribeTrainingJob", described(job))
        # Both SDKs configure the debugger in every job (recorded), by hand nearly nobody does.
        by_sdk = "DebugHookConfig" in job.request
        return answer if job.has_ended else Held(answer, job.arn, job.version, by_sdk)

    @operation("ListTrainingJobs")
    def list(self, request: Request, context: Context) -> Answer:
        """Summaries, oldest first unless asked otherwise."""
        if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
            return {"TrainingJobSummaries": []}  # no job here has a warm pool or a plan
        page = find_page(self._jobs, request, _LIST)
        answer = page.answer("TrainingJobSummaries", [summarized(job) for job in page.items])
        return project("sagemaker", "ListTrainingJobs", answer)

    @operation("StopTrainingJob")
    def stop(self, request: Request, context: Context) -> Answer:
        """Ask the job to stop; a second request while it is Stopping changes nothing."""
        job = self._job(request["TrainingJobName"])
        if job.has_ended:
            raise refusals.training_job_in_status(job.status)
        self._training.stop(job)
        return {}

    @operation("UpdateTrainingJob")
    def update(self, request: Request, context: Context) -> Answer:
        """Record what API_UpdateTrainingJob.html lets one change of a job that has not ended.

        Nothing here profiles, keeps instances warm or opens remote shells: the values are
        recorded and described, no more.
        """
        job = self._change(request["TrainingJobName"], lambda job: _updated(job, request, context))
        return {"TrainingJobArn": job.arn}

    @operation("DeleteTrainingJob")
    def delete(self, request: Request, context: Context) -> Answer:
        """Forget an ended job; its name is free again. Its log and its objects stay."""
        job = self._job(request["TrainingJobName"])
        if not job.has_ended:
            raise ResourceInUse(
                f"The training job {job.arn} is in status {job.status}. Only training jobs in a "
                "terminal state (Stopped, Failed or Completed) can be deleted: stop it first."
            )
        try:
            self._jobs.delete(job.name)
        except NotFound:
            raise refusals.training_job_not_found() from None
        return {}

    def _job(self, name: str) -> TrainingJob:
        try:
            return self._jobs.get(name)
        except NotFound:
            raise refusals.training_job_not_found() from None

    def _refuse_taken(self, name: str) -> None:
        """A taken name is told before missing data is, as data comes and goes."""
        try:
            taken = self._jobs.get(name)
        except NotFound:
            return
        raise refusals.training_job_exists(taken.arn)

    def _change(self, name: str, how: Callable[[TrainingJob], TrainingJob]) -> TrainingJob:
        """Save `how(job)`, redone when the job's own thread saved meanwhile."""
        while True:
            try:
                return self._jobs.save(how(self._job(name)))
            except Outdated:
                continue
            except NotFound:
                raise refusals.training_job_not_found() from None


def _updated(job: TrainingJob, request: Request, context: Context) -> TrainingJob:
    if job.has_ended:
        raise refusals.training_job_in_status(job.status)
    changed: dict[str, Any] = {}
    for member in ("ProfilerConfig", "ResourceConfig"):
        if member in request:
            changed[member] = {**job.request.get(member, {}), **request[member]}
    if "ProfilerRuleConfigurations" in request:
        changed["ProfilerRuleConfigurations"] = request["ProfilerRuleConfigurations"]
    if "RemoteDebugConfig" in request:
        if job.secondary_status not in _DEBUGGABLE:
            raise ValidationException(
                "RemoteDebugConfig can only be updated when the secondary status of the training "
                f"job is Downloading or Training; it is {job.secondary_status}."
            )
        changed["RemoteDebugConfig"] = request["RemoteDebugConfig"]
    return replace(job, request={**job.request, **changed}, modified=context.now())
