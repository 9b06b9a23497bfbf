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
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()
_POLL_SECONDS = 0.02
_READ_BYTES = 256 * 1024


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
    """Returns when that process has ended; it may still have to be reaped."""
    try:
        _await_exit(pid, since)
    except OSError:  # it is gone already, or the kernel cannot tell us (Linux before 5.3)
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
        environment = _read(f"/proc/{pid}/environ")
        if start in environment:
            for entry in environment.split(b"\0"):
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
    return [
        pid
        for pid in _pids()
        if pid != leader and _session(pid) == leader and not _state(pid).startswith("Z")
    ]


def runs_script(pid: int, script: str) -> bool:
    """Whether the process is `sh -c script`, or a fork of it that has not become anything else."""
    if not _HAS_PROC:
        return script.splitlines()[0] in _ps("-o", "args=", "-p", str(pid))
    words = _read(f"/proc/{pid}/cmdline").split(b"\0")
    return words[1:3] == [b"-c", script.encode()]


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    """A signal to each; those that have ended meanwhile do not mind."""
    for pid in pids:
        if pid != os.getpid():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _await_exit(pid: int, since: str) -> None:
    if sys.platform == "linux":
        descriptor = os.pidfd_open(pid)
        try:
            if started(pid) == since:
                poller = select.poll()
                poller.register(descriptor, select.POLLIN)
                poller.poll()
        finally:
            os.close(descriptor)
    else:
        with contextlib.closing(select.kqueue()) as queue:
            exit_of = (select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
            queue.control([select.kevent(pid, *exit_of)], 0)
            if not is_gone(pid, since):
                queue.control(None, 1)


def _pids() -> list[int]:
    own = os.getpid()
    names = (entry for entry in os.listdir("/proc") if entry.isdecimal())
    return [pid for pid in map(int, names) if pid != own]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third on (the state); the second is the command's name
    in brackets, in which anything may stand."""
    return _read(f"/proc/{pid}/stat").decode("utf-8", "replace").rpartition(")")[2].split()


def _read(path: str) -> bytes:
    """A file of /proc, or b"" where we may not read it or its process has ended. Without Python's
    file objects: a scan reads hundreds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(descriptor, _READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


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
