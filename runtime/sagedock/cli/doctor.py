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
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.engine_gpus import look
from sagedock.backends.docker.gpu_request import INSTALL_TOOLKIT, TOOLKIT_MISSING
from sagedock.backends.docker.local_images import find_image
from sagedock.backends.frameworks import Frameworks
from sagedock.backends.gpu_rules import MXNET_WHEEL_ARCHITECTURES, can_use, refusal
from sagedock.backends.gpus import Gpu, discover
from sagedock.backends.interpreters import find_interpreter
from sagedock.cli.address import home_option, json_option
from sagedock.errors import EngineUnavailable, SagedockError
from sagedock.home import Home
from sagedock.settings import Settings

State = Literal["ok", "note", "bad"]
_NEEDED_BYTES = 2 * 1024**3
_GPU_IMAGE = "sagedock/mxnet:1.9.1-gpu"
_ASKING = (_GPU_IMAGE, "sagedock/mxnet:1.9.1-cpu")
_LABELS = {"sagedock.doctor": __version__}
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
    """Check Python, disk, port, proxy and CA, engine, GPU and framework environments.

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
    try:
        engine = Engine.connect()
    except EngineUnavailable as error:
        if settings.backend == "docker":
            yield Finding("engine", "bad", str(error))
        else:
            yield Finding("engine", "note", str(error), "Until then user code runs as processes.")
        yield from _gpu(settings, None)
        return
    api = ".".join(map(str, engine.facts.api))
    yield Finding("engine", "ok", f"{engine.facts}, API {api}, at {engine.address}")
    yield from _gpu(settings, engine)
    engine.close()


def _gpu(settings: Settings, engine: Engine | None) -> Iterator[Finding]:
    """What the driver here says, what containers get, and whether MXNet has code for it. Only a
    setting that needs a GPU makes something bad of there being none."""
    lacking: State = "bad" if settings.gpu == "strict" else "note"
    here = discover()
    for gpu in here.gpus:
        memory = f", {gpu.memory_bytes / 1024**3:.1f} GiB" if gpu.memory_bytes else ""
        yield Finding(f"gpu {gpu.index}", "ok", f"{gpu}{memory}, {gpu.uuid}")
    if engine is None:
        if here.gpus:
            mend = "Containers on a Docker engine can use it; the process backend runs on the CPU."
            yield Finding("gpu", "note", "no Docker engine, so nothing here runs on a GPU", mend)
        else:
            yield _no_gpu(lacking, here.trouble)
        return
    found = look(engine, _image_to_ask(engine), here, engine.is_remote or _in_container(), _LABELS)
    if found.trouble == TOOLKIT_MISSING:
        condition = "" if here.gpus else "If that machine has a GPU: "
        yield Finding("gpu", lacking, TOOLKIT_MISSING, f"{condition}{INSTALL_TOOLKIT}.")
        return
    if not found.gpus:
        yield _no_gpu(lacking, found.trouble)
        return
    names = ", ".join(map(str, found.gpus))
    yield Finding("gpu in containers", "ok", f"{len(found.gpus)} by {found.way}: {names}")
    yield _code(engine, found.gpus, lacking)


def _no_gpu(state: State, trouble: str) -> Finding:
    told = "none found" if not trouble else f"none that runs can use: {trouble}"
    mend = (
        "SAGEDOCK_GPU=strict is set, and so jobs on GPU instances fail."
        if state == "bad"
        else "Jobs on GPU instances run on the CPU, with a warning; SAGEDOCK_GPU=strict fails them."
    )
    return Finding("gpu", state, told, mend)


def _code(engine: Engine, gpus: tuple[Gpu, ...], lacking: State) -> Finding:
    """By the image's label, else by what is known of the wheel that it would be built from."""
    image = find_image(engine, _GPU_IMAGE)
    name = _GPU_IMAGE if image is not None else f"{_GPU_IMAGE} (not built yet)"
    holds = image.gpu_architectures if image is not None else MXNET_WHEEL_ARCHITECTURES
    said = refusal(gpus, holds, name)
    if said:
        return Finding("gpu code", lacking, said)
    if not holds:
        return Finding("gpu code", "note", f"{name} does not say what GPU code it holds")
    usable = ", ".join(map(str, can_use(gpus, holds)))
    return Finding("gpu code", "ok", f"{name} has code for {usable}")


def _image_to_ask(engine: Engine) -> str | None:
    """One that is surely there and has a shell: an image of ours."""
    return next((image for image in _ASKING if find_image(engine, image) is not None), None)


def _in_container() -> bool:
    """Docker and Podman leave a file; there the driver may be hidden from us."""
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))


def _frameworks(settings: Settings) -> Iterator[Finding]:
    assert settings.frameworks is not None
    if settings.backend == "docker":
        return  # which builds no environments, and whose own image has no uv
    frameworks = Frameworks(settings.frameworks)
    try:
        uv = frameworks.uv
    except SagedockError as error:
        yield Finding("uv", "bad", str(error), "Install it: pip install uv")
        return
    yield Finding("uv", "ok", str(uv))
    versions = [
        version
        for version in ("3.11", "3.10", "3.9", "3.8", "3.12")
        if find_interpreter(version, uv)
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
    _frameworks,
)


def _show_settings(settings: Settings) -> None:
    for name, field in Settings.model_fields.items():
        click.echo(f"SAGEDOCK_{name.upper()}={getattr(settings, name)}\n    {field.description}")
