"""What the processes of one server hold, as Linux tells it; nothing where the system does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sagedock.check.subjects.observations import WorkerMemory

_PROC = Path("/proc")


def held(mark: str) -> int:
    """Bytes of all processes with that mark in their environment; 0 where it is not known."""
    return sum(_pages(folder) for folder in _marked(mark))


def of_a_worker(mark: str) -> WorkerMemory | None:
    """Of the process that holds most: a worker with a loaded model.

    Counted is what would be its own if it had loaded the model itself, as each worker in the cloud
    does: of a forked one, too, the pages that it still shares with where it came from.
    """
    found = [memory for folder in _marked(mark) if (memory := _memory(folder)) is not None]
    return max(found, key=lambda memory: memory.own, default=None)


def _marked(mark: str) -> Iterator[Path]:
    for folder in _PROC.glob("[0-9]*"):
        try:
            is_marked = mark.encode() in (folder / "environ").read_bytes()
        except OSError:  # another user's, or gone
            continue
        if is_marked:
            yield folder


def _pages(folder: Path) -> int:
    try:
        pages = int((folder / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _memory(folder: Path) -> WorkerMemory | None:
    try:
        lines = (folder / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = {name: size.split()[0] for name, _, size in (line.partition(":") for line in lines[1:])}
    if "Anonymous" not in sizes:  # a process that has ended has no sizes
        return None
    own, resident = int(sizes["Anonymous"]), int(sizes["Rss"])
    swapped = int(sizes.get("Swap", "0"))
    return WorkerMemory(own=(own + swapped) * 1024, files=max(0, resident - own) * 1024)
