"""sagedock doctor: is everything here that is needed, and how to mend what is not."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from sagedock import __version__
from sagedock.backends.frameworks import Frameworks
from sagedock.backends.interpreters import find_interpreter
from sagedock.cli.address import home_option, json_option
from sagedock.errors import SagedockError
from sagedock.home import Home
from sagedock.settings import Settings

State = Literal["ok", "note", "bad"]
_NEEDED_BYTES = 2 * 1024**3
_SIGN = {"ok": "ok  ", "note": "note", "bad": "BAD "}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it ("" where nothing is to do)."""

    subject: str
    state: State
    told: str
    mend: str = ""


@click.command("doctor")
@home_option
@json_option
@click.option("--settings", "show_settings", is_flag=True, help="List every setting and its value.")
def command(home: Path | None, as_json: bool, show_settings: bool) -> None:
    """Check Python, disk, port, proxy and CA, GPU and framework environments.

    Exit code 1 when something has to be mended.
    """
    settings = Settings.read(home=home)
    if show_settings:
        _show_settings(settings)
        return
    found = [finding for check in _CHECKS for finding in check(settings)]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        width = max(len(finding.subject) for finding in found)
        for finding in found:
            click.echo(f"{_SIGN[finding.state]}  {finding.subject.ljust(width)}  {finding.told}")
            if finding.mend:
                click.echo(f"{' ' * (width + 8)}{finding.mend}")
    sys.exit(1 if any(finding.state == "bad" for finding in found) else 0)


def _python(settings: Settings) -> Iterator[Finding]:
    said = f"{platform.python_version()} ({sys.executable}), sagedock {__version__}"
    yield Finding("python", "ok", said)


def _disk(settings: Settings) -> Iterator[Finding]:
    place = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    told = f"{free / 1024**3:.1f} GiB free for {settings.home}"
    if not os.access(place, os.W_OK):
        yield Finding("home", "bad", f"{place} cannot be written", "Name another: --home DIR")
    if free < _NEEDED_BYTES:
        mend = "Free some space, or name a home on another disk: --home DIR"
        yield Finding("disk", "bad", told, mend)
    else:
        yield Finding("disk", "ok", told)


def _port(settings: Settings) -> Iterator[Finding]:
    address = Home(settings.home).address()
    if address is not None:
        yield Finding("emulator", "ok", f"runs at {address.url} (process {address.pid})")
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            yield Finding(
                "port",
                "bad",
                f"{settings.host}:{settings.port} is taken ({error.strerror})",
                "Stop what holds it, or choose another: sagedock serve --port N",
            )
            return
    yield Finding("port", "ok", f"{settings.host}:{settings.port} is free")


def _proxy(settings: Settings) -> Iterator[Finding]:
    authority = settings.home / "tls" / "ca.pem"
    if authority.exists():
        yield Finding("authority", "ok", f"{authority} (trusted by `sagedock run` and `env` only)")
    else:
        yield Finding("authority", "note", "made at the first start, under the home")
    own = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    if own:
        yield Finding("proxy", "note", f"your own proxy {own} is used for hosts that are not AWS's")


def _engine(settings: Settings) -> Iterator[Finding]:
    yield Finding(
        "engine", "note", "user code runs as plain processes; this version needs no Docker engine"
    )


def _gpu(settings: Settings) -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Finding(
            "gpu",
            "note",
            "none found: scripts that ask for one run on the CPU, with a warning",
            "To have them fail as on a CPU instance: SAGEDOCK_GPU=strict",
        )
    else:
        yield Finding("gpu", "note", f"{tool} is here, but the process backend runs on the CPU")


def _frameworks(settings: Settings) -> Iterator[Finding]:
    assert settings.frameworks is not None
    try:
        frameworks = Frameworks(settings.frameworks)
    except SagedockError as error:
        yield Finding("uv", "bad", str(error), "Install it: pip install uv")
        return
    yield Finding("uv", "ok", str(frameworks.uv))
    versions = [
        version
        for version in ("3.11", "3.10", "3.9", "3.8", "3.12")
        if find_interpreter(version, frameworks.uv)
    ]
    if versions:
        yield Finding("interpreters", "ok", f"Python {', '.join(versions)} can run MXNet 1.9.1")
    else:
        yield Finding(
            "interpreters",
            "bad",
            "no Python 3.8 to 3.12 for the MXNet environment",
            "Install one: uv python install 3.11",
        )
    for status in frameworks.status():
        if status.ready:
            yield Finding(f"{status.family} env", "ok", f"ready in {status.path}")
        else:
            yield Finding(
                f"{status.family} env",
                "note",
                "built when it is first needed",
                f"To build it now: sagedock images build {status.family}",
            )


_CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _python,
    _disk,
    _port,
    _proxy,
    _engine,
    _gpu,
    _frameworks,
)


def _show_settings(settings: Settings) -> None:
    for name, field in Settings.model_fields.items():
        click.echo(f"SAGEDOCK_{name.upper()}={getattr(settings, name)}\n    {field.description}")
