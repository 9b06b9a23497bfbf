"""What each family's environment is made of: Pythons, pinned requirements, a probe."""

from __future__ import annotations

import functools
import hashlib
import platform
from dataclasses import dataclass
from pathlib import Path

from sagedock.errors import RunFailedToStart

LAYOUT = 1
"""Raised when environments built by an earlier sagedock no longer do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a family's environment is made: requirements by Python version, the best Python first,
    and the module whose import shows that it works."""

    requirements: tuple[tuple[str, str], ...]
    probe: str = ""
    fallback: str = ""

    @property
    def pythons(self) -> tuple[str, ...]:
        return tuple(python for python, _ in self.requirements)


RECIPES = {
    "mxnet": Recipe(
        requirements=(
            *((python, "mxnet-cpu.txt") for python in ("3.11", "3.10", "3.9", "3.8")),
            ("3.12", "mxnet-cpu-py312.txt"),
        ),
        probe="mxnet",
        fallback="3.12",
    ),
    "python": Recipe(
        requirements=tuple(
            (python, "python.txt") for python in ("3.11", "3.10", "3.9", "3.8", "3.12", "3.13")
        ),
    ),
}


def requirements(family: str, python: str) -> list[str]:
    """The pins of a family's environment on that Python."""
    lines = (line.strip() for line in _text(family, python).splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@functools.cache
def environment_name(family: str, python: str) -> str:
    """Another one for other pins."""
    digest = hashlib.sha256(f"{LAYOUT}\n{_text(family, python)}".encode())
    return f"{family}-py{python}-{digest.hexdigest()[:12]}"


def raise_without_wheel(family: str) -> None:
    """MXNet 1.9.1 has wheels for Linux on x86_64 and aarch64, and for Intel Macs."""
    system, machine = platform.system(), platform.machine()
    has_wheel = system == "Linux" and machine in ("x86_64", "aarch64")
    if family == "mxnet" and not has_wheel and (system, machine) != ("Darwin", "x86_64"):
        raise RunFailedToStart(
            f"MXNet 1.9.1 was never published for {system} on {machine}, so it cannot run here. "
            "Run sagedock on Linux (x86_64 or aarch64), in a virtual machine for example."
        )


@functools.cache
def _text(family: str, python: str) -> str:
    """Text of the requirements file, from the wheel or from the checkout."""
    name = dict(RECIPES[family].requirements)[python]
    in_wheel = Path(__file__).parent / "requirements"
    in_checkout = Path(__file__).parents[3] / "containers" / "mxnet" / "requirements"
    folder = in_wheel if in_wheel.is_dir() else in_checkout
    return (folder / name).read_text(encoding="utf-8")
