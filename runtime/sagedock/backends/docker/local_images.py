"""Images as they lie on the engine: which one stands for a name, and what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError
from docker.errors import ImageNotFound as NoSuchImage

from sagedock.backends.docker.engine import Engine, explanation
from sagedock.backends.docker.image_contents import INITS
from sagedock.backends.docker.labels import ARCHITECTURES, FAMILY
from sagedock.domain.images import ImageReference
from sagedock.errors import RunFailedToStart


@dataclass(frozen=True, slots=True)
class LocalImage:
    """One image of the engine. `reference` is what its name asks for where one of our families
    stands for that name; `family` is set on images that we built; `path` is its PATH, `workdir` its
    WORKDIR; `gpu_architectures` what GPU code it says it holds, () where it says nothing."""

    name: str
    id: str
    architecture: str
    family: str
    entrypoint: tuple[str, ...]
    path: str
    workdir: str
    gpu_architectures: tuple[str, ...]
    reference: ImageReference | None = None

    @property
    def is_ours(self) -> bool:
        return bool(self.family)

    @property
    def brings_init(self) -> bool:
        """Its entry point is an init of its own; another around it would be in the way."""
        return bool(self.entrypoint) and self.entrypoint[0].rpartition("/")[2] in INITS

    def raise_if_foreign(self, engine: Engine) -> None:
        """An image of another architecture starts, and dies of "exec format error"."""
        here = engine.facts.architecture
        if self.architecture and self.architecture != here:
            raise RunFailedToStart(
                f"The image {self.name} is for {self.architecture}, and this engine's machine is "
                f"{here}. Build or pull it for {here}: docker pull --platform linux/{here} "
                f"{self.name}"
            )


def find_image(engine: Engine, name: str) -> LocalImage | None:
    """The engine's image of that name; None when it has none. Raises RunFailedToStart where the
    engine takes the name for none ("invalid reference format")."""
    attrs = record_of(engine, name)
    return None if attrs is None else local_image(name, attrs)


def record_of(engine: Engine, name: str) -> dict[str, Any] | None:
    """What the engine says of the image, in its own words. None and raises as `find_image`."""
    inspect: Any = engine.client.api.inspect_image
    try:
        attrs: dict[str, Any] = engine.patiently(lambda: inspect(name))
    except NoSuchImage:
        return None
    except APIError as error:
        raise RunFailedToStart(
            f"The image {name!r} cannot be used: {explanation(error)}."
        ) from error
    return attrs


def local_image(name: str, attrs: dict[str, Any]) -> LocalImage:
    """The image of that name from the engine's record of it."""
    config = attrs.get("Config") or {}
    labels = config.get("Labels") or {}
    return LocalImage(
        name=name,
        id=attrs["Id"],
        architecture=attrs.get("Architecture", ""),
        family=labels.get(FAMILY, ""),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        path=_path(config.get("Env") or ()),
        workdir=config.get("WorkingDir") or "",
        gpu_architectures=tuple((labels.get(ARCHITECTURES) or "").split()),
    )


def _path(environment: Iterable[str]) -> str:
    """Where the image looks for programs; the engine's own default where it does not say."""
    named = (entry.removeprefix("PATH=") for entry in environment if entry.startswith("PATH="))
    return next(named, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
