"""A model.tar.gz, looked into without being unpacked: its members, and what some of them say."""

from __future__ import annotations

import gzip
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sagedock.check.subjects.hit import Hit
from sagedock.check.subjects.module import Module
from sagedock.check.subjects.mxnet_files import Parameters, parameters_of
from sagedock.check.subjects.script import Script, read
from sagedock.errors import CheckError

SYMBOL, PARAMETERS, SHAPES = DEFAULT_FILES = (
    "model-symbol.json",
    "model-0000.params",
    "model-shapes.json",
)
"""What MXNet's default model_fn loads (sagemaker-mxnet-inference-toolkit
default_inference_handler.py); all at the root of the archive."""

CODE = "code"
SERVED = "inference.py"
_READ_AT_MOST = 512 * 1024 * 1024
_UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class Archive:
    """`trouble` is why it is no gzip tar, "" where it is one; `members` are as they stand in it,
    `names` without "./" and folders' slashes."""

    path: Path
    file: str
    entry: str = SERVED
    members: tuple[tarfile.TarInfo, ...] = ()
    trouble: str = ""
    _contents: dict[str, bytes] = field(default_factory=dict, repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(plain(member.name) for member in self.members if plain(member.name))

    @cached_property
    def files(self) -> frozenset[str]:
        return frozenset(plain(member.name) for member in self.members if not member.isdir())

    def text(self, name: str) -> str | None:
        data = self._contents.get(name)
        return None if data is None else data.decode("utf-8", errors="replace")

    def json(self, name: str) -> Any:
        """The parsed member; None where it is not there or is no JSON."""
        try:
            return json.loads(self._contents[name])
        except (KeyError, ValueError):
            return None

    @cached_property
    def parameters(self) -> Parameters | None:
        """Of model-0000.params; None where it is not there."""
        data = self._contents.get(PARAMETERS)
        return None if data is None else parameters_of(data)

    @cached_property
    def code(self) -> Module | None:
        """The file that MXNet's image imports for model_fn and its like."""
        text = self.text(f"{CODE}/{self.entry}")
        return (
            None if text is None else Module(Path(CODE) / self.entry, f"{CODE}/{self.entry}", text)
        )

    @contextmanager
    def unpacked_code(self) -> Iterator[Script]:
        """What an endpoint would import, for as long as somebody looks at it: Python files and
        requirements below code/, named as in the archive."""
        wanted = (".py", "requirements.txt")
        with tempfile.TemporaryDirectory() as folder:
            for name, data in self._contents.items():
                if name.startswith(f"{CODE}/") and name.endswith(wanted):
                    file = Path(folder, name)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(data)
            (script,) = read(Path(folder, CODE), self.entry)
            for module in script.modules:
                module.file = module.path.relative_to(folder).as_posix()
            yield script

    def hit(self, member: str, message: str, **more: Any) -> Hit:
        """At a member of the archive; at the archive itself for ""."""
        return Hit(member or self.file, 1, 1, message, **more)


def plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name.rstrip("/")


def read_archive(path: Path, entry: str | None = None) -> Archive:
    """Raises CheckError for what cannot be opened; what is no gzip tar is a finding."""
    entry = entry or SERVED
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
    except OSError as error:
        raise CheckError(f"{path} cannot be read: {error.strerror}.") from error
    if start[:2] != b"\x1f\x8b":
        return Archive(path, path.as_posix(), entry, trouble=_kind(path, start))
    members: list[tarfile.TarInfo] = []
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                members.append(member)
                name = plain(member.name)
                if member.isreg() and _is_read(name) and member.size <= _READ_AT_MOST:
                    source = tar.extractfile(member)
                    assert source is not None
                    contents[name] = source.read()
    except (*_UNREADABLE, OSError) as error:
        return Archive(path, path.as_posix(), entry, trouble=f"the gzip tar is damaged: {error}")
    return Archive(path, path.as_posix(), entry, tuple(members), "", contents)


def _is_read(name: str) -> bool:
    return name in DEFAULT_FILES or (name.startswith(f"{CODE}/") and name.endswith((".py", ".txt")))


def _kind(path: Path, start: bytes) -> str:
    if not start:
        return "the file is empty"
    if start == b"PK\x03\x04":
        return "this is a zip file"
    if tarfile.is_tarfile(path):
        return "this is a tar file that is not packed with gzip"
    return "this is no gzip file"
