"""What a build sends to the engine: a family's files and the toolkit, as one tar.

Its layout is that of containers/, so the Dockerfiles build by hand from a checkout just as well. A
family of the user's has the files of its Dockerfile's folder at the root, and the toolkit where our
own families have it: `programs/` and `mxnet/toolkit/`. Times, owners and modes are always the same,
so that equal files give equal layers.
"""

from __future__ import annotations

import functools
import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sagedock.backends.container_files import containers, folder_of
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.domain.families import Device, ImageFamily
from sagedock.errors import RunFailedToStart

_TOOLKIT = "mxnet/toolkit"
_PROGRAMS = "programs"
_TIME = 1_577_836_800  # 2020
_LEFT_OUT = frozenset({"__pycache__", ".git", ".venv"})


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files of one build by their place in it; `dockerfile` is one of them.

    `recipe` and `toolkit` are digests of two halves, which images carry as labels: what has to be
    fetched and installed, and what is copied on top at the end.
    """

    dockerfile: str
    own: Mapping[str, Path]
    shared: Mapping[str, Path]

    @classmethod
    def of(cls, family: ImageFamily, device: Device) -> BuildContext:
        """Raises RunFailedToStart for a family without Dockerfile."""
        named = dict(family.dockerfiles).get(family.device(device))
        if named is None:
            raise RunFailedToStart(
                f"The family {family.name} has no Dockerfile in its table. Give it "
                f'[family.{family.name}.docker] with cpu = "{family.name}/Dockerfile", or start '
                "with --backend process."
            )
        path = folder_of(family) / named
        root = containers() if family.folder is None else path.parent
        return cls(path.relative_to(root).as_posix(), _files(path, root), _shared())

    @property
    def toolkit(self) -> str:
        return _digest(self.shared)

    @property
    def recipe(self) -> str:
        """Of the family's own files; other Dockerfiles beside this one do not count."""
        kept = {
            name: path
            for name, path in self.own.items()
            if name == self.dockerfile or not path.name.startswith("Dockerfile")
        }
        return _digest(kept)

    def text(self) -> str:
        """The Dockerfile."""
        return self.own[self.dockerfile].read_text(encoding="utf-8")

    def write(self, file: IO[bytes], instead: str | None = None) -> None:
        """The tar, into `file`; with `instead` as the Dockerfile where that is given."""
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, path in sorted({**self.own, **self.shared}.items()):
                content = path.read_bytes()
                if name == self.dockerfile and instead is not None:
                    content = instead.encode()
                archive.addfile(_member(name, path, len(content)), io.BytesIO(content))


def _files(dockerfile: Path, root: Path) -> dict[str, Path]:
    """Below the Dockerfile's folder, without the toolkit's sources."""
    found: dict[str, Path] = {}
    for folder, names, files in os.walk(dockerfile.parent):
        inside = Path(folder).relative_to(root).as_posix()
        names[:] = [
            name
            for name in names
            if name not in _LEFT_OUT and f"{inside}/{name}".removeprefix("./") != _TOOLKIT
        ]
        for file in files:
            path = Path(folder, file)
            if path.is_file():
                found[f"{inside}/{file}".removeprefix("./")] = path
    return found


def _shared() -> dict[str, Path]:
    toolkit = ToolkitSource().files()
    programs = list((containers() / _PROGRAMS).iterdir())
    return {
        **{f"{_TOOLKIT}/{name}": path for name, path in toolkit.items()},
        **{f"{_PROGRAMS}/{path.name}": path for path in programs},
    }


def _digest(files: Mapping[str, Path]) -> str:
    """Of names and contents; read again only when a file's time or size is another, since every
    start of a job asks."""
    looks = []
    for name in sorted(files):
        stat = files[name].stat()
        looks.append((name, str(files[name]), stat.st_mtime_ns, stat.st_size))
    return _digest_of(tuple(looks))


@functools.lru_cache(maxsize=64)
def _digest_of(looks: tuple[tuple[str, str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, path, _, _ in looks:
        digest.update(name.encode() + b"\0" + Path(path).read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _member(name: str, path: Path, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, _TIME
    is_program = name.startswith(f"{_PROGRAMS}/") or path.stat().st_mode & 0o100
    member.mode = 0o755 if is_program else 0o644
    return member
