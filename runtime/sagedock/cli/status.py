"""sagedock status: what runs, what ran."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from sagedock.cli.address import home_option, json_option, running_url
from sagedock.cli.client import aws_client
from sagedock.settings import Settings


@click.command("status")
@home_option
@json_option
def command(home: Path | None, as_json: bool) -> None:
    """Show the emulator's address, its newest training jobs and its endpoints.

    Exit code 3 when no emulator runs.
    """
    settings = Settings.read(home=home)
    url = running_url(settings)
    if url is None:
        if as_json:
            click.echo(json.dumps({"running": False, "home": str(settings.home)}))
        else:
            click.echo(f"No emulator runs on {settings.home}. Start one: sagedock serve")
        sys.exit(3)
    sagemaker = aws_client("sagemaker", url, settings.region)
    jobs = sagemaker.list_training_jobs(
        MaxResults=10, SortBy="CreationTime", SortOrder="Descending"
    )
    endpoints = sagemaker.list_endpoints(MaxResults=100)["Endpoints"]
    found = {
        "running": True,
        "url": url,
        "home": str(settings.home),
        "training_jobs": [_job(job) for job in jobs["TrainingJobSummaries"]],
        "endpoints": [_endpoint(endpoint) for endpoint in endpoints],
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"sagedock at {url}, home {settings.home}")
    _table("Training jobs", found["training_jobs"], "none yet")
    _table("Endpoints", found["endpoints"], "none")


def _job(summary: dict[str, Any]) -> dict[str, str]:
    end = summary.get("TrainingEndTime") or datetime.now(timezone.utc)
    seconds = (end - summary["CreationTime"]).total_seconds()
    return {
        "name": summary["TrainingJobName"],
        "status": summary["TrainingJobStatus"],
        "created": summary["CreationTime"].astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        "took": f"{seconds:.0f} s",
    }


def _endpoint(summary: dict[str, Any]) -> dict[str, str]:
    return {
        "name": summary["EndpointName"],
        "status": summary["EndpointStatus"],
        "created": summary["CreationTime"].astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }


def _table(title: str, rows: Any, nothing: str) -> None:
    click.echo(f"\n{title}" + ("" if rows else f": {nothing}"))
    if not rows:
        return
    widths = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    for row in rows:
        click.echo("  " + "  ".join(row[name].ljust(widths[name]) for name in row).rstrip())
