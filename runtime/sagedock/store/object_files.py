"""The files that hold the bytes of objects and parts.

A file is written once, under a name that has nothing to do with any key, and never changed: what
is new is a new file. A name is `<start>-<number>`: the count of the store's openings, and a number
within this one. So whatever an earlier process left half-written is told from what this one is
writing right now, and swept at the next start.

How a training channel gets its files (`ObjectFiles.stage`). The script must never be able to
change the object, and a script may well write into its channel.

1. A reflink (btrfs, XFS, bcachefs) costs nothing and shares nothing: always tried first.
2. A hard link costs nothing either (0.01 ms for 170 MB), but it *is* the object's file. Its mode,
   0444, stops an ordinary user's script from opening it for writing. It does not stop root, and a
   container's user is root more often than not. So files are linked only for a reader who is known
   to be an ordinary user, and only while this process is one too.
3. Else the kernel copies (copy_file_range: 50 to 150 ms for 170 MB in the page cache).

Considered for root and set aside: the immutable flag also forbids removing the link, and its
clearing races with the next job; overlay mounts need CAP_SYS_ADMIN and outlive a `kill -9`; a
checksum afterwards finds the damage but cannot undo it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from sagedock.store.object_errors import no_room

Staged = Literal["reflink", "link", "copy"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_KERNEL_COPY = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM}
_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_COPY_STEP = 1 << 30
_FOLDERS = 256
_READ_ONLY = 0o444


@contextmanager
def room_on_disk() -> Iterator[None]:
    """Turns a full disk, quota or file size limit into InsufficientStorage (507)."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_room(error) from error
        raise


class NewFile:
    """A file being written; it becomes an object's or a part's when its name is committed."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.size = 0
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        try:
            self._descriptor = os.open(path, flags, _READ_ONLY)
        except FileNotFoundError:  # the first file of that folder
            path.parent.mkdir(exist_ok=True)
            self._descriptor = os.open(path, flags, _READ_ONLY)

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises InsufficientStorage (507); then `discard`."""
        with room_on_disk():
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        self.size += len(data)

    def append(self, source: BinaryIO, offset: int, length: int) -> None:
        """Append bytes of another file without bringing them into this process."""
        with room_on_disk():
            _copy_range(source.fileno(), self._descriptor, offset, length)
        self.size += length

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close it and give its room back."""
        self.close()
        self.path.unlink(missing_ok=True)


class ObjectFiles:
    """The folder `root`; `start` is a number that grows at every opening of the store."""

    def __init__(self, root: Path, start: int) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o700)
        self._start = start
        self._number = 0
        self._lock = threading.Lock()

    def new(self) -> NewFile:
        """An empty file. Raises InsufficientStorage (507)."""
        name = self._next_name()
        with room_on_disk():
            return NewFile(name, self.path(name))

    def path(self, name: str) -> Path:
        return Path(self._place(name))

    def open(self, name: str) -> BinaryIO:
        """Unbuffered: readers ask for large pieces. Raises FileNotFoundError."""
        return open(self._place(name), "rb", buffering=0)

    def remove(self, names: Collection[str]) -> None:
        """Remove files that no row names any longer. One that resists is swept at a next start."""
        for name in names:
            with contextlib.suppress(OSError):
                self.path(name).unlink()

    def duplicate(self, name: str) -> str:
        """Another name for the same bytes, without copying them: files never change."""
        second = self._next_name()
        target = self.path(second)
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(self.path(name), target)
        except FileNotFoundError:
            raise
        except OSError:  # too many links, or a file system without them
            return self.join([(name, 0, self.path(name).stat().st_size)])
        return second

    def join(self, pieces: Sequence[tuple[str, int, int]]) -> str:
        """A new file made of pieces (name, offset, length) of others, copied in the kernel.
        Raises InsufficientStorage (507) and FileNotFoundError."""
        file = self.new()
        try:
            for name, offset, length in pieces:
                with self.open(name) as source:
                    file.append(source, offset, length)
            file.close()
        except BaseException:
            file.discard()
            raise
        return file.name

    def adopt(self, path: Path, *, move: bool) -> str:
        """Take in a file from elsewhere; with `move` it is renamed where that is possible."""
        name = self._next_name()
        target = self.path(name)
        target.parent.mkdir(exist_ok=True)
        if move and not path.is_symlink():
            try:
                path.rename(target)
                target.chmod(_READ_ONLY)
                return name
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        try:
            with room_on_disk():
                _copy(path, target, _READ_ONLY)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        if move:
            path.unlink()
        return name

    def stage(self, name: str, destination: Path, *, reader_is_ordinary_user: bool) -> Staged:
        """Put the bytes at `destination`, which must not exist, as the module's text says."""
        source = self.path(name)
        with room_on_disk():
            if _reflinked(source, destination):
                return "reflink"
            if reader_is_ordinary_user and os.geteuid() != 0 and _linked(source, destination):
                return "link"
            _copy(source, destination, 0o644)
        return "copy"

    def link(self, name: str, destination: Path) -> bool:
        """One more name for the very file; False on a file system without hard links."""
        return _linked(self.path(name), destination)

    def has_room_for(self, size: int) -> bool:
        """False when `size` bytes certainly do not fit; there may be less room than this knows."""
        room = os.statvfs(self.root)
        blocks = room.f_bfree if os.geteuid() == 0 else room.f_bavail
        return size <= blocks * room.f_frsize

    def sweep(self, is_kept: Callable[[str], bool]) -> None:
        """Remove what earlier openings wrote and no row names."""
        for folder in self.root.iterdir():
            if not folder.is_dir():
                continue
            for name in os.listdir(folder):
                start = name.partition("-")[0]
                if start != f"{self._start:x}" and not is_kept(name):
                    (folder / name).unlink(missing_ok=True)

    def _place(self, name: str) -> str:
        folder = int(name.partition("-")[2], 16) % _FOLDERS
        return f"{self.root}/{folder:02x}/{name}"

    def _next_name(self) -> str:
        with self._lock:
            self._number += 1
            return f"{self._start:x}-{self._number:x}"


def _reflinked(source: Path, destination: Path) -> bool:
    with open(source, "rb") as original, open(destination, "xb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
            return True
        except OSError:
            pass
    destination.unlink()
    return False


def _linked(source: Path, destination: Path) -> bool:
    try:
        os.link(source, destination)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, too many links
        return False
    return True


def _copy(source: Path, destination: Path, mode: int) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    with open(source, "rb", buffering=0) as original:
        target = os.open(destination, flags, mode)
        try:
            _copy_range(original.fileno(), target, 0, os.fstat(original.fileno()).st_size)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
        finally:
            os.close(target)


def _copy_range(source: int, target: int, offset: int, length: int) -> None:
    """Append `length` bytes of `source` from `offset` to `target`; raises OSError if it is
    shorter."""
    while length:
        try:
            copied = os.copy_file_range(source, target, min(length, _COPY_STEP), offset)
        except AttributeError:  # macOS
            copied = _copy_through_memory(source, target, offset, length)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
            copied = _copy_through_memory(source, target, offset, length)
        if not copied:
            raise OSError(errno.EIO, f"an object's file ends {length} bytes early")
        offset += copied
        length -= copied


def _copy_through_memory(source: int, target: int, offset: int, length: int) -> int:
    data = memoryview(os.pread(source, min(length, 1 << 20), offset))
    written = 0
    while written < len(data):
        written += os.write(target, data[written:])
    return written
