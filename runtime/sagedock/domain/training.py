"""TrainingJob: what was asked for, how far it has come, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import Self

from sagedock.domain.resource import Body, Resource, from_epoch, to_epoch
from sagedock.domain.states import (
    COMPLETED,
    FAILED,
    MAX_RUNTIME_EXCEEDED,
    NEXT_TRAINING,
    PRIMARY_OF,
    STARTING,
    STATUS_MESSAGES,
    STOPPED,
    TRAINING,
    TRAINING_ENDED,
    check_move,
)

FAILURE_REASON_LIMIT = 1024
"""Characters of a FailureReason (botocore shape FailureReason)."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of SecondaryStatusTransitions."""

    status: str
    start: datetime
    end: datetime | None
    message: str


@dataclass(frozen=True, slots=True)
class Channel:
    """One entry of InputDataConfig."""

    name: str
    s3_uri: str
    data_type: str
    distribution: str
    input_mode: str
    content_type: str | None
    compression: str
    record_wrapper: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], default_mode: str) -> Self:
        source = entry.get("DataSource", {}).get("S3DataSource", {})
        return cls(
            name=entry["ChannelName"],
            s3_uri=source.get("S3Uri", ""),
            data_type=source.get("S3DataType", "S3Prefix"),
            distribution=source.get("S3DataDistributionType", "FullyReplicated"),
            input_mode=entry.get("InputMode", default_mode),
            content_type=entry.get("ContentType"),
            compression=entry.get("CompressionType", "None"),
            record_wrapper=entry.get("RecordWrapperType", "None"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingJob(Resource):
    """A training job; immutable, each step makes the next one."""

    kind: ClassVar[str] = "training-job"
    noun: ClassVar[str] = "training job"

    transitions: tuple[Transition, ...]
    failure_reason: str | None = None
    training_started: datetime | None = None
    training_ended: datetime | None = None
    model_artifacts: str | None = None
    stop_requested: bool = False
    metrics: tuple[Mapping[str, Any], ...] = ()
    """FinalMetricDataList entries; Timestamp as seconds since 1970."""

    @classmethod
    def requested(cls, name: str, arn: str, request: Mapping[str, Any], now: datetime) -> Self:
        return cls(
            name=name,
            arn=arn,
            request=request,
            created=now,
            modified=now,
            transitions=(Transition(STARTING, now, None, STATUS_MESSAGES[STARTING]),),
        )

    @property
    def secondary_status(self) -> str:
        return self.transitions[-1].status

    @property
    def status(self) -> str:
        primary = PRIMARY_OF[self.secondary_status]
        # A job that was asked to stop stays Stopping while it uploads what it has.
        return "Stopping" if self.stop_requested and primary == "InProgress" else primary

    @property
    def has_ended(self) -> bool:
        return self.status in TRAINING_ENDED

    @property
    def image(self) -> str | None:
        image: str | None = self.request["AlgorithmSpecification"].get("TrainingImage")
        return image

    @property
    def hyperparameters(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.request.get("HyperParameters", {})
        return found

    @property
    def channels(self) -> tuple[Channel, ...]:
        mode = self.request["AlgorithmSpecification"].get("TrainingInputMode", "File")
        return tuple(Channel.of(entry, mode) for entry in self.request.get("InputDataConfig", ()))

    @property
    def instance_type(self) -> str:
        return str(self.request["ResourceConfig"].get("InstanceType", "local"))

    @property
    def instance_count(self) -> int:
        return max(1, int(self.request["ResourceConfig"].get("InstanceCount", 1)))

    @property
    def hosts(self) -> tuple[str, ...]:
        """algo-1 …, sorted as strings, as in resourceconfig.json (algo-10 before algo-2)."""
        return tuple(sorted(f"algo-{number}" for number in range(1, self.instance_count + 1)))

    @property
    def max_runtime_seconds(self) -> int:
        """One day unless the request says else (API_StoppingCondition.html)."""
        return int(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86_400))

    @property
    def output_uri(self) -> str:
        """s3://…/<job>/output, without a slash at the end."""
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"

    def moved_to(self, status: str, now: datetime, message: str | None = None) -> Self:
        """The job one step on; the step before ends where this one starts."""
        check_move(NEXT_TRAINING, self.name, self.secondary_status, status)
        *earlier, last = self.transitions
        ended = status in (COMPLETED, FAILED, STOPPED, MAX_RUNTIME_EXCEEDED)
        steps = (
            *earlier,
            replace(last, end=now),
            Transition(
                status, now, now if ended else None, message or STATUS_MESSAGES.get(status, status)
            ),
        )
        changed = replace(self, transitions=steps, modified=now)
        if status == TRAINING and changed.training_started is None:
            changed = replace(changed, training_started=now)
        if ended and changed.training_started is not None:
            # "the time after model artifacts are uploaded" (API_DescribeTrainingJob.html)
            changed = replace(changed, training_ended=now)
        return changed

    def failed(self, reason: str, now: datetime) -> Self:
        """The job, Failed; `reason` is cut to what a FailureReason may hold."""
        reason = reason[:FAILURE_REASON_LIMIT]
        return replace(self.moved_to(FAILED, now, STATUS_MESSAGES[FAILED]), failure_reason=reason)

    @property
    def training_seconds(self) -> int | None:
        """Whole seconds from TrainingStartTime to TrainingEndTime, at least 1; None before."""
        if self.training_started is None or self.training_ended is None:
            return None
        return max(1, round((self.training_ended - self.training_started).total_seconds()))

    def state(self) -> Body:
        return {
            "transitions": [
                [step.status, to_epoch(step.start), to_epoch(step.end), step.message]
                for step in self.transitions
            ],
            "failure_reason": self.failure_reason,
            "training_started": to_epoch(self.training_started),
            "training_ended": to_epoch(self.training_ended),
            "model_artifacts": self.model_artifacts,
            "stop_requested": self.stop_requested,
            "metrics": list(self.metrics),
        }

    @classmethod
    def restore(cls, common: Mapping[str, Any], state: Mapping[str, Any]) -> Self:
        def moment(seconds: float) -> datetime:
            found = from_epoch(seconds)
            assert found is not None
            return found

        return cls(
            **common,
            transitions=tuple(
                Transition(status, moment(start), from_epoch(end), message)
                for status, start, end, message in state["transitions"]
            ),
            failure_reason=state["failure_reason"],
            training_started=from_epoch(state["training_started"]),
            training_ended=from_epoch(state["training_ended"]),
            model_artifacts=state["model_artifacts"],
            stop_requested=state["stop_requested"],
            metrics=tuple(state["metrics"]),
        )
