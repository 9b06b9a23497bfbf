"""A lock that threads and processes share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sagedock.errors import StartupError

try:
    import fcntl
except ImportError as error:
    raise StartupError(
        "The process backend needs Linux or macOS. On Windows, run sagedock inside WSL 2."
    ) from error

_guard = threading.Lock()
_threads: dict[Path, threading.Lock] = {}


@contextmanager
def locked(path: Path, must_wait: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Hold the lock of the file `path`; gives its descriptor. `must_wait` is called when another
    process holds it.

    Hand the descriptor to child processes (`pass_fds`): the lock then lasts until they have ended
    too, so that nobody works beside what a killed emulator left running.
    """
    with _guard:
        own = _threads.setdefault(path, threading.Lock())
    path.parent.mkdir(parents=True, exist_ok=True)
    with own, path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            must_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
