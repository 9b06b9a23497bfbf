"""Statuses as tables: which may follow which, and the primary status each secondary one means.

Names and meanings: API_DescribeTrainingJob.html (SecondaryStatus, TrainingJobStatus) and
API_DescribeEndpoint.html (EndpointStatus).
"""

from __future__ import annotations

from typing import Final

from sagedock.errors import SagedockError


class InvalidTransition(SagedockError):
    """A lifecycle tried a move that the table forbids: our bug, never the user's."""


STARTING: Final = "Starting"
DOWNLOADING: Final = "Downloading"
TRAINING_IMAGE: Final = "DownloadingTrainingImage"
TRAINING: Final = "Training"
UPLOADING: Final = "Uploading"
STOPPING: Final = "Stopping"
STOPPED: Final = "Stopped"
COMPLETED: Final = "Completed"
FAILED: Final = "Failed"
MAX_RUNTIME_EXCEEDED: Final = "MaxRuntimeExceeded"

_ENDS: Final = frozenset({FAILED})
NEXT_TRAINING: Final[dict[str, frozenset[str]]] = {
    STARTING: frozenset({DOWNLOADING, TRAINING_IMAGE, STOPPING, STOPPED}) | _ENDS,
    TRAINING_IMAGE: frozenset({DOWNLOADING, TRAINING, STOPPING, STOPPED}) | _ENDS,
    DOWNLOADING: frozenset({TRAINING_IMAGE, TRAINING, STOPPING, STOPPED}) | _ENDS,
    TRAINING: frozenset({UPLOADING, STOPPING}) | _ENDS,
    STOPPING: frozenset({UPLOADING, STOPPED, MAX_RUNTIME_EXCEEDED, COMPLETED}) | _ENDS,
    UPLOADING: frozenset({COMPLETED, STOPPED, STOPPING, MAX_RUNTIME_EXCEEDED}) | _ENDS,
    COMPLETED: frozenset(),
    FAILED: frozenset(),
    STOPPED: frozenset(),
    MAX_RUNTIME_EXCEEDED: frozenset(),
}

PRIMARY_OF: Final[dict[str, str]] = {
    STARTING: "InProgress",
    TRAINING_IMAGE: "InProgress",
    DOWNLOADING: "InProgress",
    TRAINING: "InProgress",
    UPLOADING: "InProgress",
    STOPPING: "Stopping",
    STOPPED: "Stopped",
    COMPLETED: "Completed",
    FAILED: "Failed",
    MAX_RUNTIME_EXCEEDED: "Stopped",
}

TRAINING_ENDED: Final = frozenset({"Completed", "Failed", "Stopped"})

STATUS_MESSAGES: Final[dict[str, str]] = {
    STARTING: "Launching requested ML instances",
    DOWNLOADING: "Downloading input data",
    TRAINING_IMAGE: "Downloading the training image",
    TRAINING: "Training image download completed. Training in progress.",
    UPLOADING: "Uploading generated training model",
    STOPPING: "Stopping the training job",
    STOPPED: "Training job stopped",
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    MAX_RUNTIME_EXCEEDED: "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
"""What the service says at each step; the SDKs print them (sagemaker/session.py,
`secondary_training_status_message`)."""

CREATING: Final = "Creating"
UPDATING: Final = "Updating"
IN_SERVICE: Final = "InService"
DELETING: Final = "Deleting"
ROLLING_BACK: Final = "RollingBack"
SYSTEM_UPDATING: Final = "SystemUpdating"

NEXT_ENDPOINT: Final[dict[str, frozenset[str]]] = {
    CREATING: frozenset({IN_SERVICE, FAILED, DELETING}),
    UPDATING: frozenset({IN_SERVICE, FAILED, ROLLING_BACK, DELETING}),
    ROLLING_BACK: frozenset({IN_SERVICE, FAILED, DELETING}),
    # SystemUpdating, AWS's word for maintenance: the emulator was restarted, and the model servers
    # have to be started again.
    IN_SERVICE: frozenset({UPDATING, DELETING, FAILED, SYSTEM_UPDATING}),
    SYSTEM_UPDATING: frozenset({IN_SERVICE, FAILED, DELETING}),
    FAILED: frozenset({UPDATING, DELETING}),
    DELETING: frozenset(),
}

ENDPOINT_IN_TRANSITION: Final = frozenset(
    {CREATING, UPDATING, ROLLING_BACK, SYSTEM_UPDATING, DELETING}
)


def check_move(table: dict[str, frozenset[str]], name: str, now: str, then: str) -> None:
    """Raises InvalidTransition unless `table` lets `name` go from `now` to `then`."""
    if then not in table[now]:
        raise InvalidTransition(f"{name} cannot go from {now} to {then}.")
