"""sagedock logs NAME: what a job or an endpoint printed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from sagedock.cli.address import home_option, json_option, required_url
from sagedock.cli.client import aws_client
from sagedock.errors import SagedockError
from sagedock.settings import Settings

_POLL_SECONDS = 0.3
_ENDED = ("Completed", "Failed", "Stopped")


@click.command("logs")
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@home_option
@json_option
def command(name: str, follow: bool, home: Path | None, as_json: bool) -> None:
    """Print the log of the training job or endpoint NAME.

    Lines of several hosts or instances come stream by stream, or as they arrive with --follow.
    With --json one object a line: stream, timestamp (ms), message.
    """
    settings = Settings.read(home=home)
    url = required_url(settings)
    sagemaker = aws_client("sagemaker", url, settings.region)
    group, prefix = _where(sagemaker, name)
    reader = _Reader(aws_client("logs", url, settings.region), group, prefix)
    while True:
        ended = not follow or _has_ended(sagemaker, name, group)
        for stream, event in reader.new_events():
            _show(stream, event, as_json, several=reader.is_several)
        if ended:
            return
        time.sleep(_POLL_SECONDS)


class _Reader:
    """Reads every stream on from where it was."""

    def __init__(self, logs: Any, group: str, prefix: str) -> None:
        self._logs, self._group, self._prefix = logs, group, prefix
        self._tokens: dict[str, str] = {}

    @property
    def is_several(self) -> bool:
        return len(self._tokens) > 1

    def new_events(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for stream in self._streams():
            while True:
                more = {"nextToken": self._tokens[stream]} if self._tokens.get(stream) else {}
                page = self._logs.get_log_events(
                    logGroupName=self._group, logStreamName=stream, startFromHead=True, **more
                )
                self._tokens[stream] = page["nextForwardToken"]
                if not page["events"]:
                    break
                for event in page["events"]:
                    yield stream, event

    def _streams(self) -> list[str]:
        wanted = {"logStreamNamePrefix": self._prefix} if self._prefix else {}
        try:
            pages = self._logs.get_paginator("describe_log_streams").paginate(
                logGroupName=self._group, **wanted
            )
            names = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
        except self._logs.exceptions.ResourceNotFoundException:
            return []
        for name in names:
            self._tokens.setdefault(name, "")
        return names


def _where(sagemaker: Any, name: str) -> tuple[str, str]:
    """Log group and stream prefix of the job or endpoint called `name`."""
    try:
        sagemaker.describe_training_job(TrainingJobName=name)
        return "/aws/sagemaker/TrainingJobs", f"{name}/"
    except ClientError:
        pass
    try:
        sagemaker.describe_endpoint(EndpointName=name)
        return f"/aws/sagemaker/Endpoints/{name}", ""
    except ClientError:
        raise SagedockError(
            f"there is no training job and no endpoint {name!r}; `sagedock status` lists them."
        ) from None


def _has_ended(sagemaker: Any, name: str, group: str) -> bool:
    if group.endswith("TrainingJobs"):
        job = sagemaker.describe_training_job(TrainingJobName=name)
        return job["TrainingJobStatus"] in _ENDED
    try:
        return bool(sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Failed")
    except ClientError:
        return True


def _show(stream: str, event: dict[str, Any], as_json: bool, several: bool) -> None:
    if as_json:
        said = {
            "stream": stream,
            "timestamp": event["timestamp"],
            "message": event["message"],
        }
        click.echo(json.dumps(said))
    else:
        click.echo(
            f"{stream.rpartition('/')[2]} | {event['message']}" if several else event["message"]
        )
