"""sagedock reset: back to an empty home."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from sagedock.cli.address import home_option
from sagedock.home import Home
from sagedock.settings import Settings

_KEPT = ("frameworks", "layers", "tls", "lock", "layout")
"""What is dear to build again, or what clients trust."""
_OWN = "images.toml"
"""What a person wrote."""


@click.command("reset")
@home_option
@click.option("--all", "everything", is_flag=True, help="Framework environments and the CA too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(home: Path | None, everything: bool, yes: bool) -> None:
    """Delete all jobs, endpoints, buckets and logs of the home.

    Framework environments, cached requirements and the local authority stay, unless --all; an
    images.toml stays in any case.
    """
    settings = Settings.read(home=home)
    folder = settings.home
    if not (folder / "layout").exists():
        click.echo(f"{folder} holds nothing of sagedock's.")
        return
    opened = Home(folder)
    opened.open()
    try:
        if not yes:
            click.confirm(f"Delete every job, endpoint, bucket and log in {folder}?", abort=True)
        for path in sorted(folder.iterdir()):
            if path.name == _OWN or (not everything and path.name in _KEPT):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
    finally:
        opened.close()
    click.echo(f"{folder} is empty" + ("." if everything else "; environments and CA are kept."))
