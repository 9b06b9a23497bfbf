"""sagedock operations: what is emulated."""

from __future__ import annotations

import json

import click

from sagedock.cli.address import json_option
from sagedock.emulator import emulated_operations


@click.command("operations")
@json_option
@click.option("--markdown", "as_markdown", is_flag=True, help="The table of runtime/README.md.")
def command(as_json: bool, as_markdown: bool) -> None:
    """List the AWS operations that sagedock emulates.

    Any other one answers 501 with its name; none pretends.
    """
    found = emulated_operations()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if as_markdown:
        click.echo(markdown())
        return
    for service, names in found.items():
        click.echo(f"{service} ({len(names)})")
        for name in names:
            click.echo(f"  {name}")


def markdown() -> str:
    """The same as a table: one service a row."""
    rows = (
        f"| {service} ({len(names)}) | {', '.join(names)} |"
        for service, names in emulated_operations().items()
    )
    return "\n".join(("| service | operations |", "|---|---|", *rows))
