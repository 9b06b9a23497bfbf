"""The program that an image is to run, looked at before it is run.

With an init around it a program that the kernel refuses dies with a word of the init's, or is even
taken for a shell script, where the service fails. So it is read first, from the container that was
just created.
"""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound

from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.image_contents import Problem, ProblemKind
from sagedock.backends.docker.local_images import LocalImage
from sagedock.errors import RunFailedToStart

_MAX_LINKS = 8
_HEAD_BYTES = 256
_MACHINES = {3: "386", 40: "arm", 62: "amd64", 183: "arm64"}
"""e_machine of ELF, in images' words."""


@dataclass(frozen=True, slots=True)
class Program:
    """A file of the image: its path, mode and first bytes."""

    path: str
    mode: int
    head: bytes


def check_program(
    engine: Engine, container: str, image: LocalImage, command: tuple[str, ...]
) -> None:
    """Raises RunFailedToStart when the kernel would not run `command[0]`, with the kernel's words
    and a way out. What cannot be looked at (below a mount that is filled later) passes."""
    problem = problem_of(engine, container, image, command[0], engine.facts.architecture)
    if problem is not None:
        raise RunFailedToStart(problem.words)


def problem_of(
    engine: Engine, container: str, image: LocalImage, name: str, machine: str
) -> Problem | None:
    """Why a kernel of that machine (amd64, arm64) would not run the image's program; None where it
    would. `container` is any of that image; it need not run."""
    found = _find(engine, container, name, image)
    if found is None:
        return Problem("missing", name, _missing(name, image))
    if not stat.S_ISREG(found.mode) or not found.mode & 0o111:
        words = (
            f'exec: "{name}": permission denied. {found.path} in the image {image.name} is not '
            f"executable: add `RUN chmod +x {found.path}` to its Dockerfile and build it again."
        )
        return Problem("mode", found.path, words)
    return _refused(engine, container, found, machine)


def is_file(engine: Engine, container: str, path: str) -> bool:
    """Whether the image has a file there; the path is absolute."""
    found = _read(engine, container, path)
    return found is not None and stat.S_ISREG(found.mode)


def _find(engine: Engine, container: str, name: str, image: LocalImage) -> Program | None:
    if "/" in name:
        return _read(engine, container, posixpath.join(image.workdir or "/", name))
    for folder in image.path.split(":"):
        found = _read(engine, container, posixpath.join(folder or "/", name))
        if found is not None and stat.S_ISREG(found.mode):
            return found
    return None


def _read(engine: Engine, container: str, path: str) -> Program | None:
    """Links are followed here, for the engine gives the link itself."""
    for _ in range(_MAX_LINKS):
        try:
            chunks, told = engine.client.api.get_archive(container, path)
        except (NotFound, APIError):
            return None
        if told.get("linkTarget") and _is_link(told):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), told["linkTarget"]))
            continue
        with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:
            member = archive.next()
            if member is None:
                return None
            file = archive.extractfile(member) if member.isreg() else None
            head = file.read(_HEAD_BYTES) if file is not None else b""
            kind = stat.S_IFREG if member.isreg() else stat.S_IFDIR
            return Program(path, kind | member.mode, head)
    return None


def _is_link(told: Mapping[str, Any]) -> bool:
    """Go's FileMode has its own bit for a symbolic link."""
    return bool(int(told["mode"]) & 1 << 27)


class _Stream(io.RawIOBase):
    """Chunks as a file, read no further than needed: a program may be large."""

    def __init__(self, chunks: Any) -> None:
        self._chunks, self._held = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._held) < size or size < 0:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        size = len(self._held) if size < 0 else size
        taken, self._held = self._held[:size], self._held[size:]
        return taken


def _refused(engine: Engine, container: str, program: Program, here: str) -> Problem | None:
    def problem(kind: ProblemKind, words: str, detail: str = "") -> Problem:
        return Problem(kind, program.path, f"exec {program.path}: {words}", detail)

    head = program.head
    if head.startswith(b"\x7fELF") and len(head) >= 20:
        order = "big" if head[5] == 2 else "little"
        built = _MACHINES.get(int.from_bytes(head[18:20], order))  # type: ignore[arg-type]
        if built is not None and built != here and not (built == "386" and here == "amd64"):
            told = f"It is a program for {built}, and this machine is {here}."
            return problem("machine", f"exec format error. {told}", built)
        return None
    if not head.startswith(b"#!"):
        return problem(
            "format",
            "exec format error. The file has neither a first line `#!/usr/bin/env python3` (or "
            "another interpreter) nor is it a program for Linux: add that line, and build again.",
        )
    line = head[2:].partition(b"\n")[0]
    if line.endswith(b"\r"):
        return problem(
            "line-end",
            "no such file or directory. Its first line ends in a Windows line end (CRLF), which "
            "becomes part of the interpreter's name: save it with LF (`sed -i 's/\\r$//'`, or "
            "`*.sh text eol=lf` in .gitattributes), and build again.",
        )
    interpreter = line.decode("utf-8", "replace").split()
    if interpreter and _read(engine, container, interpreter[0]) is None:
        return problem(
            "interpreter",
            f"no such file or directory. Its first line names the interpreter {interpreter[0]!r}, "
            "which the image does not have.",
            interpreter[0],
        )
    return None


def _missing(name: str, image: LocalImage) -> str:
    if "/" in name:
        return (
            f'exec: "{name}": no such file or directory. The image {image.name} has no such file; '
            "its ENTRYPOINT, or ContainerEntrypoint of the request, names it."
        )
    return (
        f'exec: "{name}": executable file not found in $PATH. SageMaker runs `{name}` in the '
        f"image: put a program of that name on its PATH (COPY {name} /usr/local/bin/, and chmod "
        "+x), or name the program with ENTRYPOINT or ContainerEntrypoint."
    )
