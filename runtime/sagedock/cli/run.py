"""sagedock run -- COMMAND: a client program, led to the emulator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import sagedock
from sagedock.cli.address import client_folder, home_option, running_url
from sagedock.client_environment import applied, client_variables
from sagedock.errors import StartupError
from sagedock.settings import Settings


@click.command(
    "run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@home_option
@click.argument("words", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(home: Path | None, words: tuple[str, ...]) -> None:
    """Run COMMAND with its AWS calls led to the emulator.

    Uses the emulator that AWS_ENDPOINT_URL names or that runs on the home; where none runs, one is
    started for the command and stopped after it. The command's exit code is this one's.
    """
    settings = Settings.read(home=home)
    with _emulator(settings) as url:
        variables = client_variables(url, settings.region, client_folder(url, settings))
        sys.exit(_run(words, applied(variables, os.environ)))


@contextmanager
def _emulator(settings: Settings) -> Iterator[str]:
    url = running_url(settings)
    if url is not None:
        yield url
        return
    # By this name it is imported only now: with an emulator running, a command starts at once.
    with sagedock.Emulator(settings.model_copy(update={"port": 0})) as started:
        click.echo(f"sagedock: started an emulator at {started.url} for this command", err=True)
        yield started.url


def _run(words: tuple[str, ...], environment: dict[str, str]) -> int:
    """The command's exit code, 128 + n for signal n. Ctrl-C goes to the command, which shares our
    terminal; we wait for it to end."""
    try:
        process = subprocess.Popen(words, env=environment)
    except FileNotFoundError:
        raise StartupError(f"there is no command {words[0]!r} on your PATH.") from None
    except OSError as error:
        raise StartupError(f"{words[0]!r} cannot be run: {error.strerror}.") from error
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    terminate = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, terminate)
    return code if code >= 0 else 128 - code
