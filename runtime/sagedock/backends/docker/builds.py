"""Images of ours on the user's engine: built, kept up to date with the toolkit, listed.

`docker build` (BuildKit) is used where that command is there and speaks to the same engine; else
the engine's classic builder, through docker-py. The Dockerfiles build on both.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests
from docker.errors import APIError, DockerException, ImageNotFound

from sagedock.backends.base import Tell
from sagedock.backends.docker.build_context import BuildContext
from sagedock.backends.docker.build_steps import BuildKitSteps, ClassicSteps
from sagedock.backends.docker.engine import Engine, explanation
from sagedock.backends.docker.labels import ARCHITECTURES, FAMILY
from sagedock.backends.locks import locked
from sagedock.domain.families import Device, ImageFamily, builtin_families
from sagedock.errors import RunFailedToStart

RELEASE, DEVICE = "sagedock.release", "sagedock.device"
TOOLKIT, RECIPE, KEPT = "sagedock.toolkit", "sagedock.recipe", "sagedock.kept"
"""Labels of our images, beside FAMILY and ARCHITECTURES. The first two say what it is, the next two
are digests of what it was made from; `kept` is the recipe by which it could not be built anew, so
that it was left as it was."""

_BASE = re.compile(r"^ARG BASE=(\S+)", re.MULTILINE)
_FIRST_FROM = re.compile(r"^FROM (\S+)", re.MULTILINE)
_REFRESH = """\
FROM {tag}
USER 0
COPY programs/train programs/serve /usr/local/bin/
RUN rm -rf /opt/toolkit
COPY mxnet/toolkit/sagedock_toolkit /opt/toolkit/sagedock_toolkit
RUN /opt/venv/bin/python -m compileall -q /opt/toolkit
"""
_FULL = "The engine's disk is full: `docker system df` shows what is on it."
_INDEXES = (
    "A build fetches packages: the engine's machine needs Debian's and Python's indexes. Without "
    "them, `sagedock images save` where they are and `sagedock images load` here."
)


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image of ours that is on the engine. `is_current` tells whether it was made from the
    files that this sagedock has; `architectures` are the GPU codes in it."""

    family: str
    device: Device
    tag: str
    id: str
    size_bytes: int
    is_current: bool
    architectures: tuple[str, ...]


def build(
    engine: Engine,
    family: ImageFamily,
    device: Device,
    tell: Tell,
    *,
    no_cache: bool = False,
    base: str | None = None,
) -> str:
    """Build the image of `family` for `device`; its tag. `base` is the image to start from, if not
    the Dockerfile's own. Raises RunFailedToStart with the failing step's last lines."""
    context = BuildContext.of(family, device)
    device = family.device(device)
    tag = family.engine_tag(device)
    arguments = {"BASE": base} if base else {}
    start = time.monotonic()
    tell(f"Building {tag}")
    before = _inspect(engine, tag)
    with tempfile.TemporaryFile() as file:
        context.write(file)
        order = _Order(tag, context.dockerfile, _labels(family, device, context), arguments)
        try:
            order.run(engine, file, tell, no_cache)
        except _StepFailed as error:
            missing = _base_of(context, base)
            if missing and _inspect(engine, missing) is None:
                raise RunFailedToStart(_without_base(tag, missing, error.said)) from error
            raise
    return _built(engine, tag, before, start, tell)


def ensure(
    engine: Engine, family: ImageFamily, device: Device, tell: Tell, *, base: str | None = None
) -> str:
    """The tag of the image of `family` for `device`, built now where it is missing or was made from
    other files than this sagedock's. Safe from threads and processes: one builds, others wait.
    `base` is for the built-in families; the user's name their own."""
    tag = family.engine_tag(device)
    context = BuildContext.of(family, device)
    if _is_current(_inspect(engine, tag), context):
        return tag
    waiting = f"Another process builds {tag}: waiting for it"
    with locked(_lock_file(engine, tag), lambda: tell(waiting)):
        found = _inspect(engine, tag)
        if _is_current(found, context):
            return tag
        try:
            own = base if family.folder is None else None
            return build(engine, family, device, tell, base=own)
        except RunFailedToStart as error:
            if found is None:
                raise
            tell(f"{tag} is kept, with this sagedock's toolkit: it cannot be built anew. {error}")
            return _refresh(engine, family, device, found, tell)


def is_current(engine: Engine, family: ImageFamily, device: Device) -> bool:
    """Whether `ensure` would have nothing to do."""
    context = BuildContext.of(family, device)
    return _is_current(_inspect(engine, family.engine_tag(device)), context)


def listed(
    engine: Engine, families: Iterable[ImageFamily] = builtin_families()
) -> list[EngineImage]:
    """The images of `families` that are on the engine."""
    found = []
    for family in families:
        for device, _ in family.dockerfiles:
            tag = family.engine_tag(device)
            image = _inspect(engine, tag)
            if image is not None:
                found.append(
                    EngineImage(
                        family=family.name,
                        device=device,
                        tag=tag,
                        id=image["Id"],
                        size_bytes=int(image["Size"]),
                        is_current=_is_current(image, BuildContext.of(family, device)),
                        architectures=architectures(image),
                    )
                )
    return found


def architectures(image: Mapping[str, Any]) -> tuple[str, ...]:
    """The GPU codes that an inspected image says it holds; () where it says nothing."""
    return tuple(_labels_of(image).get(ARCHITECTURES, "").split())


class _StepFailed(RunFailedToStart):
    """A step of a build failed; `said` are its last lines."""

    def __init__(self, tag: str, steps: BuildKitSteps | ClassicSteps) -> None:
        self.said = " | ".join(steps.last_lines) or steps.error
        where = f" in the step `{steps.failed_step}`" if steps.failed_step else ""
        is_full = "no space left on device" in f"{self.said} {steps.error}"
        super().__init__(
            f"{tag} could not be built{where}: {self.said}. {_FULL if is_full else _INDEXES}"
        )


@dataclass(frozen=True, slots=True)
class _Order:
    """One build, as either builder takes it."""

    tag: str
    dockerfile: str
    labels: Mapping[str, str]
    arguments: Mapping[str, str]

    def run(self, engine: Engine, context: IO[bytes], tell: Tell, no_cache: bool) -> None:
        context.seek(0)
        if _has_buildkit(engine):
            self._with_command(engine, context, tell, no_cache)
        else:
            self._with_engine(engine, context, tell, no_cache)

    def _with_command(self, engine: Engine, context: IO[bytes], tell: Tell, no_cache: bool) -> None:
        steps = BuildKitSteps(tell)
        command = ["docker", "buildx", "build", "--progress=plain", "--load"]
        command += ["--tag", self.tag, "--file", self.dockerfile]
        command += [f"--label={name}={value}" for name, value in self.labels.items()]
        command += [f"--build-arg={name}={value}" for name, value in self.arguments.items()]
        command += ["--no-cache"] * no_cache + ["-"]
        with subprocess.Popen(
            command,
            stdin=context,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_command_environment(engine),
            text=True,
            errors="replace",
        ) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    steps.read(line)
            except BaseException:  # Ctrl-C: the engine gives up a build whose client is gone
                process.terminate()
                raise
        if process.returncode != 0:
            raise _StepFailed(self.tag, steps)

    def _with_engine(self, engine: Engine, context: IO[bytes], tell: Tell, no_cache: bool) -> None:
        steps = ClassicSteps(tell)
        try:
            events = engine.client.api.build(
                fileobj=context,
                custom_context=True,
                dockerfile=self.dockerfile,
                tag=self.tag,
                labels=dict(self.labels),
                buildargs=dict(self.arguments),
                nocache=no_cache,
                rm=True,
                forcerm=True,
                decode=True,
            )
            for event in events:
                steps.read(event)
        except (DockerException, requests.exceptions.RequestException) as error:
            steps.error = explanation(error)
        if steps.error:
            raise _StepFailed(self.tag, steps)
        steps.finish()


def _labels(family: ImageFamily, device: Device, context: BuildContext) -> dict[str, str]:
    return {
        FAMILY: family.name,
        RELEASE: family.release,
        DEVICE: device,
        TOOLKIT: context.toolkit,
        RECIPE: context.recipe,
    }


def _refresh(
    engine: Engine, family: ImageFamily, device: Device, found: Mapping[str, Any], tell: Tell
) -> str:
    """This sagedock's toolkit on top of an image that is there: what can be had without indexes
    and without the base image, on a machine that got its images by `images load`."""
    tag, start = family.engine_tag(device), time.monotonic()
    context = BuildContext.of(family, device)
    labels = _labels(family, family.device(device), context)
    # Not tried again at every start: that takes as long as the engine looks for its base image.
    labels = {**labels, RECIPE: _labels_of(found).get(RECIPE, ""), KEPT: context.recipe}
    with tempfile.TemporaryFile() as file:
        context.write(file, instead=_REFRESH.format(tag=tag))
        _Order(tag, context.dockerfile, labels, {}).run(engine, file, tell, no_cache=False)
    return _built(engine, tag, found, start, tell)


def _built(
    engine: Engine, tag: str, before: Mapping[str, Any] | None, start: float, tell: Tell
) -> str:
    """Tell of the new image, and take away the old one, which has no name any more."""
    image = _inspect(engine, tag)
    if image is None:
        raise RunFailedToStart(f"{tag} was built, and the engine does not have it.")
    if before is not None and before["Id"] != image["Id"]:
        with contextlib.suppress(APIError):  # something may still run from it
            engine.client.images.remove(before["Id"], noprune=True)
    seconds = time.monotonic() - start
    tell(f"{tag} is ready: {int(image['Size']) / 1e6:.0f} MB in {seconds:.1f} s")
    return tag


def _is_current(image: Mapping[str, Any] | None, context: BuildContext) -> bool:
    if image is None:
        return False
    labels = _labels_of(image)
    made_by = (labels.get(RECIPE), labels.get(KEPT))
    return labels.get(TOOLKIT) == context.toolkit and context.recipe in made_by


def _inspect(engine: Engine, tag: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = engine.client.images.get(tag).attrs
        return found
    except ImageNotFound:
        return None
    except (DockerException, requests.exceptions.RequestException) as error:
        raise RunFailedToStart(
            f"The Docker engine cannot tell of {tag}: {explanation(error)}."
        ) from error


def _labels_of(image: Mapping[str, Any]) -> Mapping[str, str]:
    return (image.get("Config") or {}).get("Labels") or {}


def _lock_file(engine: Engine, tag: str) -> Path:
    """One per engine and tag, for all of this user's homes: they share the engine's images."""
    name = hashlib.sha256(f"{engine.address} {tag}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"sagedock-builds-{os.getuid()}" / f"{name}.lock"


@functools.lru_cache(maxsize=8)
def _has_buildkit(engine: Engine) -> bool:
    """Whether the command `docker buildx` is here and speaks to this very engine."""
    if engine.facts.is_podman or shutil.which("docker") is None:
        return False
    environment = _command_environment(engine)
    told = []
    for words in (("buildx", "version"), ("info", "--format", "{{.ID}}")):
        try:
            asked = subprocess.run(
                ["docker", *words], env=environment, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if asked.returncode != 0:
            return False
        told.append(asked.stdout.strip())
    return bool(told[1] == engine.client.info().get("ID"))


def _command_environment(engine: Engine) -> dict[str, str]:
    """The engine's own builder: another that the user selected might not put the image here."""
    return {**os.environ, "DOCKER_HOST": engine.address, "BUILDX_BUILDER": "default"}


def _base_of(context: BuildContext, base: str | None) -> str:
    if base:
        return base
    named = _BASE.search(context.text()) or _FIRST_FROM.search(context.text())
    return named[1] if named else ""


def _without_base(tag: str, base: str, said: str) -> str:
    return (
        f"{tag} is built from {base}, which is not on this engine and could not be fetched. Fetch "
        f"it where there is a registry (`docker pull {base}`), or name an image that is here: "
        f"`sagedock images build --base IMAGE`, or SAGEDOCK_BASE_IMAGE. The engine said: {said}."
    )
