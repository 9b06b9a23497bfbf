"""The command line: one verb, one file. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from sagedock import __version__
from sagedock.errors import SagedockError

COMMANDS = (
    "serve",
    "run",
    "env",
    "status",
    "logs",
    "invoke",
    "images",
    "operations",
    "doctor",
    "reset",
    "completion",
)
"""In the order in which a new user needs them."""


class _Commands(click.Group):
    """Loads a command's module when it is asked for, so that `sagedock env` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"sagedock.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SagedockError as error:
            click.echo(f"sagedock: {error}", err=True)
            sys.exit(1)


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="sagedock")
def main() -> None:
    """Amazon SageMaker training and hosting on your own machine.

    \b
    sagedock serve                  start the emulator
    sagedock run -- python fit.py   run a client against it, unchanged
    eval "$(sagedock env)"          or lead this whole shell to it
    """
