"""sagedock serve: the emulator in the foreground."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from sagedock import __version__
from sagedock.emulator import Emulator
from sagedock.settings import DEFAULT_PORT, Settings


@click.command("serve")
@click.option("--host", help="Address to listen on (default 127.0.0.1: this machine only).")
@click.option("--port", type=int, help=f"Port to listen on (default {DEFAULT_PORT}; 0 picks one).")
@click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of all state (default ~/.sagedock).",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "process", "docker"]),
    help="Where user code runs (default auto).",
)
@click.option(
    "--keep-jobs",
    is_flag=True,
    default=None,
    help="Leave jobs and model servers running at the end; the next start takes them up again.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every request.")
def command(verbose: bool, **flags: Any) -> None:
    """Start the emulator: one process, one port, until Ctrl-C.

    Every option is also a variable SAGEDOCK_NAME; `sagedock doctor --settings` lists them.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
    )
    for noisy in ("asyncio", "botocore", "urllib3", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    settings = Settings.read(**flags)
    emulator = Emulator(settings)
    emulator.serve(on_ready=lambda: _greet(emulator))


def _greet(emulator: Emulator) -> None:
    settings = emulator.settings
    run = "sagedock run -- python your_script.py"
    click.echo(
        f"sagedock {__version__} is ready at {emulator.url}\n"
        f"  home     {settings.home}\n"
        f"  backend  {emulator.backend_name}: {emulator.backend_sentence}\n"
        f"  clients  {run}\n"
        '           or lead a shell here:  eval "$(sagedock env)"\n'
        "  stop     Ctrl-C"
        + (" (jobs are kept for the next start)" if settings.keep_jobs else " (stops jobs too)"),
        err=True,
    )
