"""What the engine refuses, in sentences that a FailureReason can carry."""

from __future__ import annotations

import requests
from docker.errors import DockerException

from sagedock.backends.base import RunSpec
from sagedock.backends.docker.engine import GONE, explanation
from sagedock.backends.docker.gpu_request import why_not
from sagedock.backends.docker.local_images import LocalImage
from sagedock.errors import RunFailedToStart

_REFUSALS = (DockerException, requests.exceptions.RequestException, OSError)


def raise_refusal(error: BaseException, spec: RunSpec, image: LocalImage) -> None:
    """Raises RunFailedToStart for what the engine refuses, with its words, and what to do; returns
    for what is no refusal: our own faults, and an engine that went away. It says at the start that
    a program is missing or cannot be executed; the kernel's own refusals (a wrong interpreter,
    another architecture) come as output and exit code 1 of a run (observed: engines 20.10 and
    26.1)."""
    if isinstance(error, GONE) or not isinstance(error, _REFUSALS):
        return
    said = explanation(error)
    program = (spec.entrypoint or image.entrypoint or spec.arguments or spec.command)[0]
    raise RunFailedToStart(
        f"The container could not be started: {_sentence(said, program, image)}"
    ) from error


def _sentence(said: str, program: str, image: LocalImage) -> str:
    short = said.rpartition("exec: ")[2] if "exec: " in said else said
    short = short.removesuffix(": unknown").strip()
    if "executable file not found" in said or "no such file or directory" in said:
        return (
            f"exec: {short}. The image {image.name} has no program {program!r}: SageMaker runs "
            f"`{program}` from the image's PATH, or its ENTRYPOINT. Put one there, executable, and "
            "build the image again."
        )
    if "permission denied" in said:
        return (
            f"exec: {short}. {program!r} in the image {image.name} is not executable: add `RUN "
            f"chmod +x …/{program}` to its Dockerfile and build it again."
        )
    if "non-overlapping IPv4" in said or "address pools" in said:
        return f"{said}. Remove networks that nothing uses: docker network prune."
    mended = why_not(said)
    if mended is not None:
        return f"{mended}."
    if "unable to find user" in said:
        return f"{said}. The image {image.name} names a USER that its /etc/passwd does not have."
    return in_words(said)


def in_words(said: str) -> str:
    """What the engine said, as a sentence, with what to do where that is known."""
    if "no space left on device" in said:
        return (
            f"{said}. The Docker engine's disk is full: `docker system df` shows what fills it, "
            "`docker system prune` frees what nothing uses."
        )
    if "is already in use by container" in said:
        return f"{said} (`docker rm -f` with that name)."
    return f"{said}."
