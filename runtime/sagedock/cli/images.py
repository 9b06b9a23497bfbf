"""sagedock images: what stands for AWS's images here."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sagedock.backends.frameworks import Frameworks, FrameworkStatus
from sagedock.cli.address import home_option, json_option
from sagedock.domain.families import ImageFamily
from sagedock.domain.images import FAMILIES
from sagedock.settings import Settings


@click.group("images", invoke_without_command=True)
@home_option
@json_option
@click.pass_context
def command(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List the image families and their environments; `images build` makes one ready.

    Every AWS MXNet image of any region, by repository and tag, is served by the family mxnet.
    """
    settings = Settings.read(home=home)
    context.obj = settings
    if context.invoked_subcommand is not None:
        return
    assert settings.frameworks is not None
    built = {status.family: status for status in Frameworks(settings.frameworks).status()}
    if as_json:
        click.echo(json.dumps([_row(family, built[family.name]) for family in FAMILIES], indent=2))
        return
    for family in FAMILIES:
        status = built[family.name]
        state = f"ready in {status.path}" if status.ready else "built when it is first needed"
        click.echo(f"{family.alias}\n  {family.description}\n  {state}")
        if family.versions:
            click.echo(f"  stands for {', '.join(family.repositories[1:])}")
            click.echo(f"  versions   {', '.join(family.versions)}")


def _row(family: ImageFamily, status: FrameworkStatus) -> dict[str, object]:
    return {
        "family": family.name,
        "image": family.alias,
        "stands_for": list(family.repositories[1:]),
        "versions": list(family.versions),
        "description": family.description,
        "ready": status.ready,
        "python": status.python_version,
        "path": str(status.path),
        "size_bytes": status.size_bytes,
    }


@command.command("build")
@click.argument("family", type=click.Choice([family.name for family in FAMILIES]))
@click.pass_obj
def build(settings: Settings, family: str) -> None:
    """Build the environment of FAMILY now, so that no job has to wait for it."""
    assert settings.frameworks is not None
    framework = Frameworks(settings.frameworks).ensure(
        family, lambda line: click.echo(line, err=True)
    )
    click.echo(framework.path)
