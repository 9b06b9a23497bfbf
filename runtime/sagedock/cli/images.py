"""sagedock images: what stands for AWS's images here, and how it gets here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from sagedock.backends.docker import builds, bundles
from sagedock.backends.docker.builds import EngineImage
from sagedock.backends.docker.engine import Engine
from sagedock.backends.frameworks import Frameworks, FrameworkStatus
from sagedock.cli.address import home_option, json_option
from sagedock.domain.families import DEVICES, Device, ImageFamily
from sagedock.domain.images import ImageTable
from sagedock.errors import EngineUnavailable, StartupError
from sagedock.home import Home
from sagedock.settings import Settings

_COLUMNS = ("IMAGE OR ENVIRONMENT", "DEVICE", "SIZE", "STATE", "GPU CODE")


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What the command looks at: settings, the table of images, and the engine if one answers."""

    settings: Settings
    table: ImageTable
    engine: Engine | None
    no_engine: str

    @classmethod
    def open(cls, home: Path | None) -> _Shelf:
        settings = Settings.read(home=home)
        table = ImageTable.read(Home(settings.home).images)
        try:
            return cls(settings, table, Engine.connect(), "")
        except EngineUnavailable as error:
            return cls(settings, table, None, str(error))

    @property
    def required_engine(self) -> Engine:
        if self.engine is None:
            raise EngineUnavailable(self.no_engine)
        return self.engine

    @property
    def frameworks(self) -> Frameworks:
        assert self.settings.frameworks is not None
        return Frameworks(self.settings.frameworks, self.table.families)

    def images(self) -> list[EngineImage]:
        return builds.listed(self.engine, self.table.families) if self.engine else []


@click.group("images", invoke_without_command=True)
@home_option
@json_option
@click.pass_context
def command(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List the image families, their environments and engine images; build, save and load them.

    Every AWS MXNet image of any region, by repository and tag, is served by the family mxnet.
    Families of your own go into images.toml of the home.
    """
    context.obj = _Shelf.open(home)
    if context.invoked_subcommand is None:
        _list(context.obj, as_json)


@command.command("ls")
@json_option
@click.pass_obj
def ls(shelf: _Shelf, as_json: bool) -> None:
    """List families, environments and engine images, as `sagedock images` does."""
    _list(shelf, as_json)


@command.command("build")
@click.argument("target", required=False, default="", metavar="[FAMILY[-cpu|-cuda]]")
@click.option("--no-cache", is_flag=True, help="Repeat every step of an engine image.")
@click.option(
    "--base",
    metavar="IMAGE",
    help="Image to start from, if not the Dockerfile's own (SAGEDOCK_BASE_IMAGE).",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "docker", "process"]),
    help="Engine image or environment; auto: an image where an engine answers.",
)
@click.pass_obj
def build(
    shelf: _Shelf, target: str, no_cache: bool, base: str | None, backend: str | None
) -> None:
    """Build what a family needs now, so that no job has to wait for it.

    FAMILY is mxnet, python or one of yours; mxnet is the image for the CPU, mxnet-cuda the one for
    GPUs. Without FAMILY all families' images for the CPU are built.
    """
    backend = backend or shelf.settings.backend
    uses_engine = backend == "docker" or (backend == "auto" and shelf.engine is not None)
    for family, device in _targets(shelf.table.families, target):
        if uses_engine:
            start = base or (shelf.settings.base_image if family.folder is None else None)
            engine = shelf.required_engine
            click.echo(builds.build(engine, family, device, _tell, no_cache=no_cache, base=start))
        elif device == "gpu":
            raise StartupError(
                f"{target} is an image, and environments of the process backend hold the CPU build "
                f"alone. Build it with a Docker engine: {shelf.no_engine or '--backend docker'}"
            )
        else:
            click.echo(shelf.frameworks.ensure(family.name, _tell).path)


@command.command("save")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("targets", nargs=-1, metavar="[FAMILY[-cpu|-cuda]]...")
@click.pass_obj
def save(shelf: _Shelf, file: Path, targets: tuple[str, ...]) -> None:
    """Save the engine's images of FAMILY (default: all) as one FILE, for a machine without network.

    mxnet is both of its images, mxnet-cpu and mxnet-cuda are one each. FILE.tar.gz is smaller and
    slower than FILE.tar.
    """
    families = shelf.table.families
    chosen = [pair for target in targets for pair in _images(families, target)]
    only = [family.engine_tag(device) for family, device in chosen]
    among = dict.fromkeys(family for family, _ in chosen) if chosen else families
    for tag in bundles.save(shelf.required_engine, among, file, _tell, only=only):
        click.echo(tag)


@command.command("load")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def load(shelf: _Shelf, file: Path) -> None:
    """Load the images of FILE, which `images save` made, into the engine."""
    for tag in bundles.load(shelf.required_engine, file, _tell):
        click.echo(tag)


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _targets(families: Sequence[ImageFamily], target: str) -> Iterator[tuple[ImageFamily, Device]]:
    if not target:
        yield from ((family, "cpu") for family in families)
        return
    device: Device
    for family in families:
        for ending, device in (("", "cpu"), ("-cpu", "cpu"), ("-cuda", "gpu"), ("-gpu", "gpu")):
            if target == f"{family.name}{ending}":
                if device not in dict(family.dockerfiles) and device == "gpu":
                    raise StartupError(
                        f"The family {family.name} has no image for GPUs: {family.name} is built "
                        "for the CPU alone."
                    )
                yield family, device
                return
    raise StartupError(_unknown(families, target))


def _images(families: Sequence[ImageFamily], target: str) -> Iterator[tuple[ImageFamily, Device]]:
    """As _targets; a family's bare name is all its images."""
    for family in families:
        if target == family.name:
            yield from ((family, device) for device, _ in family.dockerfiles)
            return
    yield from _targets(families, target)


def _unknown(families: Sequence[ImageFamily], name: str) -> str:
    names = ", ".join(
        family.name + (f" (and {family.name}-cuda)" if "gpu" in dict(family.dockerfiles) else "")
        for family in families
    )
    return f"There is no image family {name!r}. There are {names}."


def _list(shelf: _Shelf, as_json: bool) -> None:
    built = {status.family: status for status in shelf.frameworks.status()}
    images = {image.tag: image for image in shelf.images()}
    families = shelf.table.families
    if as_json:
        rows = [_row(family, built.get(family.name), images) for family in families]
        click.echo(json.dumps(rows, indent=2))
        return
    for family in families:
        click.echo(f"{family.alias}\n  {family.description}")
        if len(family.repositories) > 1:
            click.echo(f"  stands for {', '.join(family.repositories[1:])}")
        if family.versions:
            click.echo(f"  versions   {', '.join(family.versions)}")
    for row in shelf.table.rows:
        click.echo(f"{row.uri}\n  is run as  {row.run}")
    click.echo()
    _table([cells for f in families for cells in _cells(f, built.get(f.name), images, shelf)])
    if shelf.engine is None:
        click.echo(f"\n{shelf.no_engine}")


def _cells(
    family: ImageFamily,
    status: FrameworkStatus | None,
    images: dict[str, EngineImage],
    shelf: _Shelf,
) -> Iterator[tuple[str, ...]]:
    if status is not None:
        state = f"ready in {status.path}" if status.ready else "built when it is first needed"
        name = f"{family.name} on Python {status.python_version}"
        yield (name, "cpu", _size(status.size_bytes), state, "")
    if shelf.engine is None:
        return
    for device, _ in family.dockerfiles:
        image = images.get(family.engine_tag(device))
        if image is None:
            yield (family.engine_tag(device), device, "", "built when it is first needed", "")
        else:
            state = "up to date" if image.is_current else "built anew at its next use"
            size, codes = _size(image.size_bytes), " ".join(image.architectures)
            yield (image.tag, device, size, state, codes)


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _size(size_bytes: int) -> str:
    if size_bytes == 0:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def _row(
    family: ImageFamily, status: FrameworkStatus | None, images: dict[str, EngineImage]
) -> dict[str, object]:
    """`images` holds what is on the engine; the other facts of an environment are null for a
    family that has none."""
    on_engine = [images.get(family.engine_tag(device)) for device in DEVICES]
    return {
        "family": family.name,
        "image": family.alias,
        "stands_for": list(family.repositories[1:]),
        "versions": list(family.versions),
        "description": family.description,
        "ready": status.ready if status else False,
        "python": status.python_version if status else None,
        "path": str(status.path) if status else None,
        "size_bytes": status.size_bytes if status else 0,
        "images": [
            {
                "tag": image.tag,
                "device": image.device,
                "size_bytes": image.size_bytes,
                "up_to_date": image.is_current,
                "gpu_architectures": list(image.architectures),
            }
            for device, image in zip(DEVICES, on_engine, strict=True)
            if image is not None and image.device == device
        ],
    }
