"""The command line: one verb, one file. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from sagedock import __version__
from sagedock.errors import SagedockError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "serve": "Start the emulator: one process, one port, until Ctrl-C.",
    "run": "Run COMMAND with its AWS calls led to the emulator.",
    "env": "Print the lines that lead this shell's AWS clients to the emulator.",
    "status": "Show the emulator's address, its newest training jobs and its endpoints.",
    "logs": "Print the log of the training job or endpoint NAME.",
    "invoke": "Send FILE to ENDPOINT and print the answer.",
    "check": "Check a training script against the cloud's contract; run nothing.",
    "images": "List the image families and their environments.",
    "operations": "List the AWS operations that sagedock emulates.",
    "doctor": "Check Python, disk, port, proxy and CA, engine, GPU and framework environments.",
    "reset": "Delete all jobs, endpoints, buckets and logs of the home.",
    "completion": "Print the completion script of SHELL.",
}
"""In the order in which a new user needs them, with what --help says of each."""


class _Commands(click.Group):
    """Loads a command's module when it is asked for, so that `sagedock env` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"sagedock.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """click's own would load every command for its first line."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The same, when Tab is pressed: only then is click's own part for it needed."""
        item = importlib.import_module("click.shell_completion").CompletionItem
        return [item(n, help=told) for n, told in COMMANDS.items() if n.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        _hear_sigterm()
        try:
            return super().invoke(ctx)
        except SagedockError as error:
            click.echo(f"sagedock: {error}", err=True)
            sys.exit(1)


def _hear_sigterm() -> None:
    """As process 1 of a container, which is deaf to what it has no handler for: a stop while a
    command's modules load would wait until its time is over. The container's entry point holds the
    signal back until here."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


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
