"""What an image is made of, as far as SageMaker's contract is about it. Needs no client to be
imported: rules judge it, `image_reader` reads it from an engine."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sagedock.backends.gpus import Gpu

INITS = ("tini", "dumb-init", "docker-init", "catatonit", "s6-svscan", "init")
_SHELLS = ("sh", "bash", "dash", "ash")

ProblemKind = Literal["missing", "mode", "format", "line-end", "interpreter", "machine"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the kernel would not run a program: in its `words`, with a way out. `path` is its file,
    or the name that was looked for; `detail` the interpreter, or the machine it is built for."""

    kind: ProblemKind
    path: str
    words: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ImageContents:
    """One image of an engine, read and not run.

    `programs` are those that a start of it needs, each with what is wrong with it: of an image
    with an entry point that program (and the script that it is given), else `train` and `serve`.
    `in_workdir` are those names of `train` and `serve` that are files in its WORKDIR.
    """

    name: str
    architecture: str
    machine: str
    """The architecture of the engine's machine, in the same words."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    workdir: str = "/"
    ports: tuple[str, ...] = ()
    gpu_architectures: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    """Those of this machine, where the engine is on it."""
    programs: Mapping[str, Problem | None] = field(default_factory=dict)
    in_workdir: frozenset[str] = frozenset()

    @property
    def is_shell_form(self) -> bool:
        """`ENTRYPOINT words` without brackets: Docker puts `/bin/sh -c` before them, or what SHELL
        says; by hand it is the same."""
        if len(self.entrypoint) != 3 or posixpath.basename(self.entrypoint[0]) not in _SHELLS:
            return False
        return self.entrypoint[1] in ("-c", "-lc", "-ec")

    @property
    def starts_by_name(self) -> bool:
        """Whether `train` and `serve` are the programs themselves, and no arguments of another."""
        return not wrapped(self.entrypoint)

    def has(self, program: str) -> bool:
        """Whether `train` or `serve` is there to be run, as no entry point takes its place."""
        return program in self.programs and self.programs[program] is None


def wrapped(entrypoint: Sequence[str]) -> Sequence[str]:
    """The command that an init is given, () where it is given none; else all of it."""
    if not entrypoint or posixpath.basename(entrypoint[0]) not in INITS:
        return entrypoint
    words = list(entrypoint[1:])
    if "--" in words:
        return words[words.index("--") + 1 :]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-e", "-p") else words[1:]
    return words


def script_of(entry: Sequence[str]) -> str:
    """FILE of `python -u FILE …` and `bash FOLDER/FILE`; "" where none is named so. A shell looks
    for a name without a folder on the PATH too."""
    program = posixpath.basename(entry[0]) if entry else ""
    if not program.startswith("python") and program not in _SHELLS:
        return ""
    for word in entry[1:]:
        if word in ("-c", "-m", "-lc", "-ec", "-W", "-X", "-o"):
            return ""
        if not word.startswith("-"):
            is_file = "/" in word or (program.startswith("python") and word.endswith(".py"))
            return word if is_file else ""
    return ""
