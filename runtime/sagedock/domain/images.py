"""A training or inference image by name: registry URI or alias → what it asks for.

Only repository and tag decide, never account or region: the same image lies in other accounts in
China and GovCloud. Repositories, versions and tags are those of the SageMaker Python SDK
(`image_uri_config/mxnet.json` of v2; `fw_utils.create_image_uri` of v1, which checks nothing and
also asks for tags that never existed, such as 1.9.0-gpu-py3: so the version decides first).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

from sagedock.domain.families import Device, ImageFamily, Row, builtin_families, read_table
from sagedock.errors import ImageNotFound

Kind = Literal["training", "inference", "both"]

FAMILIES: Final = builtin_families()
MXNET: Final = next(family for family in FAMILIES if family.name == "mxnet")

_ECR: Final = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_PYTHON_TAG: Final = re.compile(r"py\d+")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """What an image name asks for.

    `framework` is the name of the family that stands for it, or "" when none does; `version` is
    the full framework version ("1.2.1" for the tag 1.2), "" where the family has none. `tag` is as
    written. `python` is as in the tag: py2, py3, py37, py38.
    """

    repository: str
    tag: str
    framework: str
    version: str
    device: Device
    python: str
    kind: Kind

    @classmethod
    def parse(cls, image: str, families: Iterable[ImageFamily] = FAMILIES) -> ImageReference:
        """Never raises: an image that no family stands for has no `framework`."""
        repository, tag = _split(image)
        family = next((known for known in families if repository in known.repositories), None)
        version = family.version(tag) if family else None
        if family is None or version is None:
            return cls(repository, tag, "", "", _device(tag), _python(tag, ""), _kind(repository))
        return cls(
            repository=repository,
            tag=tag,
            framework=family.name,
            version=version,
            device=_device(tag),
            python=_python(tag, family.default_python),
            kind=_kind(repository),
        )

    @property
    def is_python2(self) -> bool:
        return self.python in ("py2", "py27")


class ImageTable:
    """Which image is run as what: the families, and the user's rows, which come first."""

    def __init__(self, families: tuple[ImageFamily, ...], rows: tuple[Row, ...] = ()) -> None:
        self.families, self.rows = families, rows
        self._by_name = {family.name: family for family in families}

    @classmethod
    @functools.cache
    def builtin(cls) -> ImageTable:
        return cls(FAMILIES)

    @classmethod
    def read(cls, path: Path) -> ImageTable:
        """The built-in table, extended by the file `path` where that is. Raises StartupError,
        which names the file, the key and what would do."""
        return cls(*read_table(path))

    def family(self, name: str) -> ImageFamily:
        """The family of a resolved reference."""
        return self._by_name[name]

    def local(self, image: str) -> str | None:
        """What the user's table runs for `image`: a local tag, or a name that a family stands for;
        None where no row fits."""
        name = image.strip()
        return next((row.run for row in self.rows if fnmatchcase(name, row.uri)), None)

    def parse(self, image: str) -> ImageReference:
        """As ImageReference.parse, after the user's rows."""
        return ImageReference.parse(self.local(image) or image, self.families)

    def resolve(self, image: str) -> ImageReference:
        """The reference of an image that a family stands for; raises ImageNotFound otherwise,
        naming the image and the images there are."""
        reference = self.parse(image)
        if reference.framework:
            return reference
        raise ImageNotFound(
            f"{self._wrong(image, reference)} Name one of them; `sagedock images` lists what each "
            "stands for."
        )

    def _wrong(self, image: str, reference: ImageReference) -> str:
        told = repr(image)
        if (local := self.local(image)) is not None:
            told = f"{image!r} is run as {local!r} (images.toml), and {local!r}"
        family = next((f for f in self.families if reference.repository in f.repositories), None)
        if family is not None and family.versions:
            return (
                f"{told} names no version of {family.name} that SageMaker had. There are "
                f"{_listed(family.versions)}."
            )
        if family is not None:
            return f"{told} has a tag, and {family.alias} has none but latest."
        if local is not None:
            return (
                f"{told} is an image of a Docker engine, not a family: {_listed(self._offered())}."
            )
        return f"There is no local image for {told}. There are {_listed(self._offered())}."

    def _offered(self) -> list[str]:
        return [
            f"{family.alias} (also {', '.join(others)})"
            if (others := family.repositories[1:])
            else family.alias
            for family in self.families
        ]


def resolve(image: str) -> ImageReference:
    """By the built-in table alone."""
    return ImageTable.builtin().resolve(image)


def _split(image: str) -> tuple[str, str]:
    """Repository without registry, and tag. Of other registries than ECR the host is dropped too:
    what has a dot, a colon or is localhost before the first slash (Docker's own rule)."""
    name = image.strip().partition("@")[0]
    host, slash, rest = name.partition("/")
    if slash and (_ECR.fullmatch(host) or "." in host or ":" in host or host == "localhost"):
        name = rest
    repository, _, tag = name.partition(":")
    return repository, tag


def _device(tag: str) -> Device:
    return "gpu" if "gpu" in tag.split("-") else "cpu"


def _python(tag: str, default: str) -> str:
    return next((part for part in tag.split("-") if _PYTHON_TAG.fullmatch(part)), default)


def _kind(repository: str) -> Kind:
    """sagemaker-mxnet held both, up to 1.3.0; later repositories are named after their use."""
    words = repository.rsplit("/", 1)[-1].split("-")
    if "training" in words:
        return "training"
    return "inference" if {"inference", "serving", "eia"} & set(words) else "both"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
