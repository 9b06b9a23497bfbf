"""Processes as the operating system shows them: who is there, since when, marked by whom.

Linux is read through /proc. Elsewhere `ps` is asked, which is slower and says the same.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()
_POLL_SECONDS = 0.02


@functools.cache
def boot_id() -> str:
    """What is another one after the machine was restarted; "" where `started` says as much."""
    path = _PROC / "sys" / "kernel" / "random" / "boot_id"
    return path.read_text().strip()[:8] if path.exists() else ""


def started(pid: int) -> str | None:
    """When process `pid` started; with the pid it names one process only. None when there is no
    such process. On Linux clock ticks since boot (proc(5), stat field 22), elsewhere a date."""
    if _HAS_PROC:
        fields = _stat(pid)
        return fields[19] if fields else None
    return _ps("-o", "lstart=", "-p", str(pid)).strip().replace(" ", "_") or None


def is_gone(pid: int, since: str) -> bool:
    """True when the process that started then has ended, also where nobody reaped it yet."""
    if started(pid) != since:
        return True
    return _state(pid).startswith("Z")


def wait_until_gone(pid: int, since: str) -> None:
    """Returns when that process has ended (it may still be a zombie: see `reap`)."""
    with contextlib.suppress(OSError, AttributeError):
        # AttributeError: macOS has no pidfd. OSError: gone already, or a kernel before 5.3.
        descriptor = os.pidfd_open(pid)
        try:
            if started(pid) == since:
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                poller.poll()
            return
        finally:
            os.close(descriptor)
    while not is_gone(pid, since):
        time.sleep(_POLL_SECONDS)


def marked(name: str, prefix: str) -> dict[int, str]:
    """Processes that were started with the variable `name` beginning with `prefix`, ours excepted:
    pid and the variable's value. Other users' environments cannot be read: they are not ours."""
    if not _HAS_PROC:
        return _marked_by_ps(f" {name}={prefix}")
    start = f"{name}={prefix}".encode()
    found = {}
    for pid in _pids():
        with contextlib.suppress(OSError):
            for entry in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                if entry.startswith(start):
                    found[pid] = entry.decode("utf-8", "replace").partition("=")[2]
    return found


def in_session(leader: int) -> list[int]:
    """Living processes of the session that `leader` leads, itself excepted: those too that were
    started with an empty environment, and so carry no mark. (`ps` knows no sessions everywhere:
    there it is the process group.)"""
    if not _HAS_PROC:
        rows = [line.split() for line in _ps("-A", "-o", "pid=,pgid=").splitlines()]
        return [int(pid) for pid, group in rows if group == str(leader) != pid]
    session = str(leader)
    return [
        pid
        for pid in _pids()
        if pid != leader and (fields := _stat(pid)) and fields[3] == session and fields[0] != "Z"
    ]


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """A signal to each; those that have ended meanwhile do not mind."""
    for pid in pids:
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _pids() -> list[int]:
    own = os.getpid()
    names = (entry for entry in os.listdir(_PROC) if entry.isdecimal())
    return [pid for pid in map(int, names) if pid != own]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on (the state); the second is the command's name
    in brackets, in which anything may stand."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _state(pid: int) -> str:
    if _HAS_PROC:
        fields = _stat(pid)
        return fields[0] if fields else ""
    return _ps("-o", "stat=", "-p", str(pid)).strip()


def _marked_by_ps(start: str) -> dict[int, str]:
    """`ps -E` writes the environment behind the command, separated by spaces."""
    found = {}
    for line in _ps("-A", "-E", "-ww", "-o", "pid=,command=").splitlines():
        pid, _, text = line.strip().partition(" ")
        if start in text and int(pid) != os.getpid():
            found[int(pid)] = text.partition(start.split("=")[0] + "=")[2].split(" ")[0]
    return found


def _ps(*arguments: str) -> str:
    told = subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)
    return told.stdout
