"""User code's processes, found as the emulator marks them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path


def runs_below(folder: Path) -> set[int]:
    """Living processes that carry SAGEDOCK_RUN and whose /opt/ml, or home, lies below `folder`."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environment = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            marked = b"\0SAGEDOCK_RUN=" in b"\0" + environment
            if marked and str(folder).encode() in environment and state not in "ZX":
                found.add(int(process.name))
    return found


def kill(pids: Iterable[int]) -> None:
    """SIGKILL for each; one takes others along, who are gone when it is their turn."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
