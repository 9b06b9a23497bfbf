"""One started process with everything it started, its log and its exit code.

The log and the exit code are files in the run's workdir, so they survive the emulator. Every
process of a run carries a mark in its environment, by which those that left the process group
(daemons, MXNet's parameter servers) are found again.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.backends import processes
from sagedock.backends.base import LogLine
from sagedock.backends.log_files import follow
from sagedock.backends.ports import LOOPBACK
from sagedock.errors import RunFailedToStart

MARK = "SAGEDOCK_RUN"
OWN_FOLDER = "run"
"""Below the workdir, beside what user code writes into its working directory."""

_LOG_FILE = "output.log"
_CODE_FILE = "exit-code"

_KILL_SECONDS = 10.0
_CODE_SECONDS = 1.0

# $0 is the file for the exit code, "$@" the command. The trap lets the shell outlive a SIGTERM to
# the whole group, so that the code is written; the command itself starts with default handling.
# The shell's own remarks ("Terminated") must not get into the log: its stderr is /dev/null, and the
# command gets the log as its stderr in the subshell only, for dash would redirect its own as well.
_WRAPPER = """trap : TERM INT HUP
(exec "$@" 2>&1)
code=$?
printf '%s\\n' "$code" >"$0"
exit "$code"
"""


@dataclass(frozen=True, slots=True)
class RunAddress:
    """What finds a run again. `since` and `boot` make the pid unique, `mark` names the run in the
    environment of all its processes, `ports` maps the run's ports to ours."""

    pid: int
    since: str
    boot: str
    mark: str
    workdir: Path
    ports: Mapping[int, int] = field(default_factory=dict)

    @property
    def own_folder(self) -> Path:
        return self.workdir / OWN_FOLDER

    def __str__(self) -> str:
        ports = ",".join(f"{inside}={outside}" for inside, outside in self.ports.items())
        parts = ("process", str(self.pid), self.since, self.boot, self.mark, ports)
        return ";".join((*parts, str(self.workdir)))

    @classmethod
    def parse(cls, text: str) -> RunAddress | None:
        """None for an address that is not of this backend."""
        parts = text.split(";", 6)
        if len(parts) != 7 or parts[0] != "process":
            return None
        _, pid, since, boot, mark, ports, workdir = parts
        try:
            pairs = [pair.split("=") for pair in ports.split(",") if pair]
            mapped = {int(inside): int(outside) for inside, outside in pairs}
            return cls(int(pid), since, boot, mark, Path(workdir), mapped)
        except ValueError:
            return None


class ProcessRun:
    """Fulfils `base.Run`. A thread of its own waits for the end: it ends what is left of the run,
    reaps the process, and only then says that the run has ended."""

    def __init__(
        self,
        address: RunAddress,
        child: subprocess.Popen[bytes] | None,
        closed: Callable[[ProcessRun], None],
    ) -> None:
        self._address = address
        self._child = child
        self._closed = closed
        self._code: int | None = None
        self._ended = threading.Event()
        name = f"run-{address.pid}"
        threading.Thread(target=self._await_end, name=name, daemon=True).start()

    @property
    def id(self) -> str:
        return str(self._address)

    @property
    def mark(self) -> str:
        return self._address.mark

    @property
    def ports(self) -> tuple[int, ...]:
        """Our ports that the run uses."""
        return tuple(self._address.ports.values())

    @property
    def lost(self) -> bool:
        return self._ended.is_set() and self._code is None

    @property
    def remark(self) -> str:
        return ""

    def lines(self, after: str | None = None) -> Iterator[LogLine]:
        return follow(self._address.own_folder / _LOG_FILE, after, self._ended)

    def wait(self, timeout: float | None = None) -> int | None:
        self._ended.wait(timeout)
        return self._code

    def stop(self, grace_seconds: float) -> None:
        """Also returns, after ten seconds, when the kernel does not let go of a process."""
        end = time.monotonic() + grace_seconds
        while not self._ended.is_set():
            # A copy of the shell that has not become the command yet may still have the shell's
            # trap, and would swallow the signal; so would a command that is not there yet.
            members = [pid for pid in self._members() if not processes.runs_script(pid, _WRAPPER)]
            processes.send(signal.SIGTERM, members)
            if members or self._ended.wait(0.005) or time.monotonic() > end:
                break
        if not self._ended.wait(max(0.0, end - time.monotonic())):
            self._kill()

    def address(self, port: int) -> tuple[str, int]:
        """Raises KeyError for a port that the run's spec did not name."""
        return LOOPBACK, self._address.ports[port]

    def close(self) -> None:
        if not self._ended.is_set():
            self._kill()
        self._closed(self)

    def _await_end(self) -> None:
        pid, since, boot = self._address.pid, self._address.since, self._address.boot
        if boot == processes.boot_id():
            processes.wait_until_gone(pid, since)
            self._end_leftovers()
        reaped = self._child.wait() if self._child else None
        code = self._written_code()
        if code is None and reaped is not None:
            # The shell itself was killed before it could write, by the kernel or by hand.
            code = reaped if reaped >= 0 else 128 - reaped
        self._code = code
        self._ended.set()

    def _written_code(self) -> int | None:
        try:
            text = (self._address.own_folder / _CODE_FILE).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        return int(text) if text.endswith("\n") and text.strip().isdecimal() else None

    def _members(self) -> list[int]:
        """Everything of the run but the shell that writes its exit code."""
        pid = self._address.pid
        found = set(processes.marked(MARK, self.mark))
        if processes.started(pid) == self._address.since:
            found |= set(processes.in_session(pid))
        return sorted(found - {pid})

    def _end_leftovers(self) -> None:
        """As a container's other processes end with its first one."""
        end = time.monotonic() + _KILL_SECONDS
        while (members := self._members()) and time.monotonic() < end:
            processes.send(signal.SIGKILL, members)
            time.sleep(0.005)

    def _kill(self) -> None:
        start = time.monotonic()
        while not self._ended.is_set() and time.monotonic() < start + _KILL_SECONDS:
            processes.send(signal.SIGKILL, self._members())
            shell_hangs = time.monotonic() > start + _CODE_SECONDS
            if shell_hangs and processes.started(self._address.pid) == self._address.since:
                processes.send(signal.SIGKILL, [self._address.pid])
            self._ended.wait(0.02)


def spawn(
    command: tuple[str, ...], env: Mapping[str, str], workdir: Path
) -> tuple[subprocess.Popen[bytes], str]:
    """Start `command` in a session of its own, its output and exit code going to files below
    `workdir`; the process and when it started. Raises RunFailedToStart."""
    own_folder = workdir / OWN_FOLDER
    code_file = own_folder / _CODE_FILE
    try:
        own_folder.mkdir(exist_ok=True)
        code_file.unlink(missing_ok=True)
        with (own_folder / _LOG_FILE).open("wb") as output:
            child = subprocess.Popen(
                ("/bin/sh", "-c", _WRAPPER, str(code_file), *command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=workdir,
                env=dict(env),
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        raise RunFailedToStart(f"{command[0]} could not be started: {error}.") from error
    since = processes.started(child.pid)
    # A child that we have not reaped is there for `started`, at least as a zombie.
    assert since is not None
    return child, since
