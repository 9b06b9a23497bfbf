"""tar.gz in and out: model and output archives, with no way out of the folder they belong to."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from sagedock.errors import SagedockError


class BadArchive(SagedockError):
    """The text says what is wrong with the archive; the caller adds which one."""


def pack(folders: Sequence[Path], archive: Path) -> None:
    """Everything in `folders` as one gzip tar with members at its root; of two files of one name
    the later folder's is kept.

    Members at the root, no `model/` prefix: DG your-algorithms-training-algo-output. Sockets,
    pipes and devices are left out. gzip level 1: parameters hardly compress, and the user waits.
    """
    members: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            members[path.relative_to(folder).as_posix()] = path
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, path in sorted(members.items()):
            tar.add(path, arcname=name, recursive=False, filter=_only_files)


def has_files(folder: Path) -> bool:
    return any(files for _, _, files in os.walk(folder))


def unpack(source: BinaryIO, folder: Path) -> list[str]:
    """Extract a gzip tar below `folder`. Raises BadArchive when it cannot be read.

    Members that lead outside (absolute, `..`, links out) and devices are left out; their names
    are returned, so that the caller can say so.
    """
    try:
        with tarfile.open(fileobj=source, mode="r:gz") as tar:
            return unpack_members(tar, tar, folder)
    except (*_UNREADABLE, KeyError, ValueError) as error:
        raise BadArchive(f"it is no readable gzip tar archive ({error})") from error
    except OSError as error:
        raise BadArchive(f"it could not be unpacked ({error})") from error


def unpack_members(
    tar: tarfile.TarFile, members: Iterable[tarfile.TarInfo], folder: Path
) -> list[str]:
    """Extract those that stay below `folder`; the names of those that do not. Raises what tarfile
    does."""
    left_out: list[str] = []
    # `_stays_inside` decides. Pythons with a filter of their own warn when none is named.
    tar.extraction_filter = _as_it_is
    for member in members:
        if _stays_inside(member, folder):
            tar.extract(member, folder, set_attrs=False)
            if member.isreg():
                os.chmod(folder / member.name, member.mode & 0o755 | 0o600)
        else:
            left_out.append(member.name)
    return left_out


_UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error)


def _as_it_is(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    return member


def _only_files(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    # Who owned the files here is of no interest to whoever unpacks them elsewhere.
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _stays_inside(member: tarfile.TarInfo, folder: Path) -> bool:
    root = os.path.realpath(folder)
    target = os.path.realpath(os.path.join(root, member.name))
    if target != root and not target.startswith(root + os.sep):
        return False
    if member.issym():
        points_at = os.path.join(os.path.dirname(target), member.linkname)
    elif member.islnk():
        points_at = os.path.join(root, member.linkname)
    else:
        return member.isreg() or member.isdir()
    real = os.path.realpath(points_at)
    return not os.path.isabs(member.linkname) and real.startswith(root + os.sep)
