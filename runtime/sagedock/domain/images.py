"""A training or inference image by name: registry URI or alias → what it asks for.

Only repository and tag decide, never account or region: the same image lies in other accounts in
China and GovCloud. Repositories, versions and tags are those of the SageMaker Python SDK
(`image_uri_config/mxnet.json` of v2; `fw_utils.create_image_uri` of v1, which checks nothing and
also asks for tags that never existed, such as 1.9.0-gpu-py3: so the version decides first).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sagedock.errors import ImageNotFound

Device = Literal["cpu", "gpu"]
Kind = Literal["training", "inference", "both"]


@dataclass(frozen=True, slots=True)
class ImageFamily:
    """Images that one environment of ours stands for.

    `repositories` are AWS's and our own, without registry; `versions` are the tags' versions, and
    `short_versions` what the SDKs' "1.2" means. A family without versions takes its repository
    alone, or the tag `latest`.
    """

    name: str
    description: str
    repositories: tuple[str, ...]
    versions: tuple[str, ...] = ()
    default_version: str = ""
    short_versions: tuple[tuple[str, str], ...] = ()
    default_python: str = "py3"

    @property
    def alias(self) -> str:
        """Our own name for it, which works without AWS's registry."""
        return f"sagedock/{self.name}"

    def version(self, tag: str) -> str | None:
        """The full version that `tag` begins with, the default one for no tag and `latest`; None
        where the tag names none that there was."""
        if tag in ("", "latest"):
            return self.default_version
        asked = tag.split("-")[0]
        full = dict(self.short_versions).get(asked, asked)
        return full if full in self.versions else None


MXNET: Final = ImageFamily(
    name="mxnet",
    description="Apache MXNet 1.9.1 on the CPU, standing for SageMaker's MXNet 0.12.1 to 1.9.0",
    repositories=(
        "sagedock/mxnet",
        "sagemaker-mxnet",
        "sagemaker-mxnet-serving",
        "mxnet-training",
        "mxnet-inference",
        # Elastic Inference was an accelerator on the wire; the model server was the same.
        "sagemaker-mxnet-eia",
        "sagemaker-mxnet-serving-eia",
        "mxnet-inference-eia",
    ),
    # AWS's last one was 1.9.0; 1.9.1 is what runs here, under its own name.
    versions=(
        *("0.12.1", "1.0.0", "1.1.0", "1.2.1", "1.3.0", "1.4.0", "1.4.1", "1.5.1", "1.6.0"),
        *("1.7.0", "1.8.0", "1.9.0", "1.9.1"),
    ),
    default_version="1.9.0",
    short_versions=(
        *(("0.12", "0.12.1"), ("1.0", "1.0.0"), ("1.1", "1.1.0"), ("1.2", "1.2.1")),
        *(("1.3", "1.3.0"), ("1.4", "1.4.1"), ("1.5", "1.5.1"), ("1.6", "1.6.0")),
        *(("1.7", "1.7.0"), ("1.8", "1.8.0"), ("1.9", "1.9.0")),
    ),
    default_python="py38",
)

PYTHON: Final = ImageFamily(
    name="python",
    description="Python and its standard library, for plain scripts",
    repositories=("sagedock/python",),
)

FAMILIES: Final = (MXNET, PYTHON)

_REPOSITORY_OF: Final = {repo: family for family in FAMILIES for repo in family.repositories}
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
    def parse(cls, image: str) -> ImageReference:
        """Never raises: an image that no family stands for has no `framework`."""
        repository, tag = _split(image)
        family = _REPOSITORY_OF.get(repository)
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


def resolve(image: str) -> ImageReference:
    """The reference of an image that a family stands for; raises ImageNotFound otherwise, naming
    the image and the images there are."""
    reference = ImageReference.parse(image)
    if reference.framework:
        return reference
    family = _REPOSITORY_OF.get(reference.repository)
    if family is not None and family.versions:
        wrong = (
            f"{image!r} names no version of {family.name} that SageMaker had. There are "
            f"{_listed(family.versions)}."
        )
    elif family is not None:
        wrong = f"{image!r} has a tag, and {family.alias} has none but latest."
    else:
        wrong = f"There is no local image for {image!r}. There are {_listed(_offered())}."
    raise ImageNotFound(f"{wrong} Name one of them; `sagedock images` lists what each stands for.")


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


def _offered() -> list[str]:
    return [
        f"{family.alias} (also {', '.join(others)})"
        if (others := family.repositories[1:])
        else family.alias
        for family in FAMILIES
    ]


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
