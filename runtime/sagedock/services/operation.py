"""How an AWS operation is written: one method, marked with its name.

The request arrives parsed and validated; the method returns a plain dict in the shape of the
operation's output, or raises a ServiceError. A Describe of something still in transition may
return `Held`: the gateway then holds the answer for clients that poll (see server/gateway.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

Answer = dict[str, Any]
Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, where and when."""

    account: str
    region: str
    request_id: str
    now: Callable[[], datetime]
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that will soon be out of date: `resource` (an ARN) is still in transition and was
    at `version` when `answer` was made. `is_polled`: an SDK made the resource, and will ask again
    and again."""

    answer: Answer
    resource: str
    version: int
    is_polled: bool = False


Operation = Callable[[Request, Context], "Answer | Held"]
_Method = TypeVar("_Method", bound=Callable[..., Any])


def operation(name: str) -> Callable[[_Method], _Method]:
    """Mark a method as the AWS operation `name` of its class's `service`."""

    def mark(method: _Method) -> _Method:
        method.__aws_operation__ = name  # type: ignore[attr-defined]
        return method

    return mark


def operation_names(group: type) -> list[str]:
    """The AWS names of the operations that a class defines."""
    marked = (getattr(getattr(group, name), "__aws_operation__", None) for name in dir(group))
    return [name for name in marked if name is not None]


def dispatch_table(*groups: object) -> dict[tuple[str, str], Operation]:
    """(service, operation) → bound method, over objects whose class names its `service`
    (botocore's service name: "sagemaker", "logs", "sts", "iam", "cloudwatch", "s3")."""
    table: dict[tuple[str, str], Operation] = {}
    for group in groups:
        service: str = group.service  # type: ignore[attr-defined]
        for attribute in dir(type(group)):
            name = getattr(getattr(type(group), attribute), "__aws_operation__", None)
            if name is None:
                continue
            if (service, name) in table:
                raise ValueError(f"{service} {name} is defined twice")
            table[service, name] = getattr(group, attribute)
    return table
