"""Everything sagedock raises on purpose.

::

    SagedockError
    ├── ServiceError              an answer in AWS's shape; `code`, `message`, HTTP `status`
    │   ├── ValidationException   400
    │   ├── ResourceNotFound      400
    │   ├── ResourceInUse         400
    │   ├── ResourceLimitExceeded 400
    │   ├── ConflictException     400
    │   ├── NotEmulated           501, names the operation
    │   └── InternalFailure       500, our own fault
    ├── ImageNotFound             no backend has this image; says which there are
    ├── RunFailedToStart          the backend could not start a run
    ├── StartupError              the emulator cannot start; one sentence for the user
    │   └── EngineUnavailable     no Docker engine answers, or not to us
    └── CheckError                nothing could be checked; one sentence for the user

Services and everything below them raise; the gateway alone turns a ServiceError into an HTTP
answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class SagedockError(Exception):
    """Base of everything raised on purpose."""


class ServiceError(SagedockError):
    """An error answer of an AWS service.

    `fields` are further members of the error's shape (`OriginalStatusCode`, `BucketName`, …).
    """

    code = "InternalFailure"
    status = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})


class ValidationException(ServiceError):
    code, status = "ValidationException", 400


class ResourceNotFound(ServiceError):
    code, status = "ResourceNotFound", 400


class ResourceInUse(ServiceError):
    code, status = "ResourceInUse", 400


class ResourceLimitExceeded(ServiceError):
    code, status = "ResourceLimitExceeded", 400


class ConflictException(ServiceError):
    code, status = "ConflictException", 400


class InternalFailure(ServiceError):
    code, status = "InternalFailure", 500


class NotEmulated(ServiceError):
    """501 for an operation that sagedock does not have; nothing ever pretends."""

    code, status = "NotImplemented", 501

    def __init__(self, service: str, operation: str, hint: str = "") -> None:
        said = f"sagedock does not emulate {service} {operation}."
        super().__init__(
            said + " " + (hint or "See `sagedock operations` for what it does emulate."),
            fields={"Operation": operation, "Service": service},
        )


class ImageNotFound(SagedockError):
    """No backend can stand for this image; the text says which images there are."""


class RunFailedToStart(SagedockError):
    """The backend could not start a run; the text is fit for a FailureReason."""


class StartupError(SagedockError):
    """The emulator cannot start; the text is one sentence with a way out."""


class EngineUnavailable(StartupError):
    """No Docker engine answers, or not to us; one sentence with a way out. `is_there`: it does, and
    this user may not use it."""

    def __init__(self, said: str, *, is_there: bool = False) -> None:
        super().__init__(said)
        self.is_there = is_there


class CheckError(SagedockError):
    """Nothing could be checked: no such file, or a setting that means nothing."""
