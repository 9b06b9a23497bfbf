"""Run a command for the user: its output live in our log, its last words kept, SIGTERM passed on.

The command's stdout and stderr are one pipe, so their order in the log is the order of writing
(two pipes could swap lines). What it says last is kept for FailureReason.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

CHUNK_BYTES = 65536
TAIL_BYTES = 65536
AFTER_END_BYTES = 1 << 20
"""The largest pipe Linux gives without privileges: more than a command that ended can have left."""


def run(
    command: Sequence[str], cwd: str | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code (-n for signal n) and the last 64 KiB of output.

    Returns when the command itself has ended and all it wrote was passed on; a process that it
    left behind may hold the pipe open, and is not waited for. Raises OSError when the command
    cannot be started.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    read_end, write_end = os.pipe()
    try:
        try:
            child = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
            )
        finally:
            os.close(write_end)
        with _sigterm_handed_to(child), _end_of(child) as ended:
            tail = _relay(read_end, ended)
            return child.wait(), tail.decode("utf-8", "replace")
    finally:
        os.close(read_end)


@contextlib.contextmanager
def _sigterm_handed_to(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Hand SIGTERM on, so that a script can save a checkpoint in the 120 s before SIGKILL.

    With SAGEDOCK_GROUP_SIGNALS=1 whoever stops us signals our whole process group, and the command
    has the signal already: a second one could break into its own handler.
    """
    group_has_it = os.environ.get("SAGEDOCK_GROUP_SIGNALS") == "1"

    def forward(number: int, frame: FrameType | None) -> None:
        if not group_has_it:
            child.send_signal(number)

    handler: Callable[[int, FrameType | None], None] = forward
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _end_of(child: subprocess.Popen[bytes]) -> Iterator[int]:
    """A descriptor that becomes readable when `child` has ended."""
    ended, ending = os.pipe()

    def wait() -> None:
        child.wait()
        os.close(ending)

    waiter = threading.Thread(target=wait, name="end of the command", daemon=True)
    waiter.start()
    try:
        yield ended
    finally:
        waiter.join()
        os.close(ended)


def _relay(source: int, ended: int) -> bytes:
    """Copy `source` to our stdout until nobody writes, or `ended` tells and it is drained."""
    tail = b""
    room_after_end = AFTER_END_BYTES
    while room_after_end > 0:
        ready = select.select([source, ended], [], [])[0]
        if source not in ready:
            break
        chunk = os.read(source, CHUNK_BYTES)
        if not chunk:
            break
        if ended in ready:
            room_after_end -= len(chunk)
        _write_all(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]
    return tail


def _write_all(chunk: bytes) -> None:
    # Where the log takes no more (its disk is full), the command has to run on all the same.
    with contextlib.suppress(OSError):
        while chunk:
            chunk = chunk[os.write(1, chunk) :]
