"""A Docker engine of the tests' own, to be stopped, killed, filled and started again.

It has its own containerd (as an installed engine has, so that containers outlive a killed dockerd),
its own folders, socket and network namespace, and a pair of interfaces by which this machine
reaches it. With `hidden` it does not see a folder of ours, like an engine on another machine. (The
engine of `private_engine` is for requests for GPUs.)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import requests
from docker.errors import DockerException

from private_engine import why_none
from sagedock.backends.docker.engine import Engine
from sagedock.errors import EngineUnavailable

__all__ = ["Daemon", "daemon", "why_none"]

PORT = 2375
_NUMBERS = itertools.count(os.getpid() % 200 * 20)
_SECONDS = 180
_GIVE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Daemon:
    """`engine` is connected by the socket; `remote` is the address by which it is another
    machine's."""

    def __init__(self, folder: Path, hidden: Path | None, configuration: dict[str, Any]) -> None:
        number = next(_NUMBERS)
        self.folder, self.hidden, self._configuration = folder, hidden, configuration
        folder.chmod(0o711)  # whoever may use the socket has to find it
        self.socket = folder / "sock"
        self._namespace = f"sagedock-test-{number}"
        self._here, self._there = f"sdt{number}a", f"sdt{number}b"
        net = f"10.212.{number // 60 % 256}"
        self.host, self.ours = f"{net}.{number % 60 * 4 + 2}", f"{net}.{number % 60 * 4 + 1}"
        self.remote = f"tcp://{self.host}:{PORT}"
        self._dockerd: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        self._held: socket.socket | None = None
        self._log: IO[bytes] = (folder / "log").open("wb")
        self.engine: Engine

    # --- up and down --------------------------------------------------------------------------

    def create(self) -> None:
        """The namespace, the way to it, and a containerd; no engine yet."""
        inside = ["ip", "-n", self._namespace]
        for command in (
            ["ip", "netns", "add", self._namespace],
            [*inside, "link", "set", "lo", "up"],
            ["ip", "link", "add", self._here, "type", "veth", "peer", "name", self._there],
            ["ip", "link", "set", self._there, "netns", self._namespace],
            ["ip", "addr", "add", f"{self.ours}/30", "dev", self._here],
            ["ip", "link", "set", self._here, "up"],
            [*inside, "addr", "add", f"{self.host}/30", "dev", self._there],
            [*inside, "link", "set", self._there, "up"],
            [*inside, "route", "add", "default", "via", self.ours],
        ):
            subprocess.run(command, check=True)
        self._containerd = self._begin(
            [
                *("containerd", "--root", self.folder / "containerd-data"),
                *("--state", self.folder / "containerd", "--address", self._containerd_socket),
            ],
            self._hide(),
        )
        _until(self._containerd_socket.exists, self._containerd, self.folder / "log")

    def start(self, **changes: Any) -> Engine:
        """Returns when it answers."""
        self._configuration |= changes
        (self.folder / "pid").unlink(missing_ok=True)
        if self._held is None:
            self.socket.unlink(missing_ok=True)
        wanted = {
            "data-root": str(self.folder / "data"),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "pid"),
            "hosts": [
                f"unix://{self.socket}" if self._held is None else "fd://",
                f"tcp://{self.host}:{PORT}",
            ],
            "tls": False,  # said aloud, or the engine waits for somebody to be warned
            "containerd": str(self._containerd_socket),
            **self._configuration,
        }
        (self.folder / "daemon.json").write_text(json.dumps(wanted))
        self._dockerd = self._begin(
            ["dockerd", "--config-file", self.folder / "daemon.json"], self._dockerd_prelude()
        )
        _until(self._answers, self._dockerd, self.folder / "log")
        self.engine = Engine.connect(f"unix://{self.socket}")
        return self.engine

    def hold_socket(self) -> None:
        """From the next start on: the socket is ours, as it is systemd's on most machines, and the
        engine is given it. While there is no engine a request waits there for the next."""
        self.socket.unlink(missing_ok=True)
        self._held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._held.bind(str(self.socket))
        self._held.listen(64)

    def let_go_of_socket(self) -> None:
        """Undoes that."""
        assert self._held is not None
        self._held.close()
        self._held = None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Returns when the engine's process is gone; what it does to containers on its way is the
        point of many a test."""
        assert self._dockerd is not None
        self._dockerd.send_signal(number)
        self._dockerd.wait(_SECONDS)

    def said(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def load(self, engine: Engine, *images: str) -> None:
        """Images of another engine. This one has no registry to ask."""
        parts = engine.client.api.get(f"{engine.client.api.base_url}/images/get", stream=True,
                                      params={"names": list(images)})  # fmt: skip
        bundle = self.folder / "images.tar"
        with bundle.open("wb") as file:
            shutil.copyfileobj(parts.raw, file)
        with bundle.open("rb") as file:
            self.engine.client.images.load(file)
        bundle.unlink()

    def end(self) -> None:
        if self._dockerd is not None and self._dockerd.poll() is None:
            self._end_containers()
            self.stop()
        for process in (self._dockerd, self._containerd):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._end_what_is_left()
        subprocess.run(["ip", "link", "del", self._here], check=False)
        subprocess.run(["ip", "netns", "del", self._namespace], check=False)
        self._log.close()
        for mount in _mounts_below(self.folder):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- small things -------------------------------------------------------------------------

    @property
    def _containerd_socket(self) -> Path:
        return self.folder / "containerd.sock"

    def _answers(self) -> bool:
        try:
            Engine.connect(f"unix://{self.socket}").close()
        except EngineUnavailable:
            return False
        return True

    def _hide(self) -> list[str]:
        if self.hidden is None:
            return []
        hide = f'mount -t tmpfs -o size=1m none {self.hidden} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", hide, "sh"]

    def _dockerd_prelude(self) -> list[str]:
        """Into the namespaces. (`ip netns exec` would mount a /sys without cgroups.)"""
        assert self._containerd is not None
        mounts = f"--mount=/proc/{self._containerd.pid}/ns/mnt"
        return ["nsenter", f"--net=/run/netns/{self._namespace}", mounts]

    def _begin(self, words: list[Any], prelude: list[str]) -> subprocess.Popen[bytes]:
        held = () if self._held is None else (self._held.fileno(),)
        give = [sys.executable, "-c", _GIVE, *map(str, held)] if held else []
        return subprocess.Popen(
            [*give, *prelude, *map(str, words)],
            pass_fds=held,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _end_containers(self) -> None:
        """At once: on its way down the engine would ask them first, for ten seconds."""
        with contextlib.suppress(DockerException, requests.exceptions.RequestException):
            for box in self.engine.client.containers.list(all=True, ignore_removed=True):
                box.remove(force=True, v=True)

    def _end_what_is_left(self) -> None:
        """Shims, and what they hold, which an engine that was killed leaves."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                if str(self._containerd_socket).encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)


@contextlib.contextmanager
def daemon(hidden: Path | None = None, **configuration: Any) -> Iterator[Daemon]:
    """A started engine; all of it is gone afterwards. Its folder has a short name: a socket's path
    may have no more than a hundred characters."""
    made = Daemon(Path(tempfile.mkdtemp(prefix="sdt-")), hidden, configuration)
    try:
        made.create()
        made.start()
        yield made
    finally:
        made.end()


def _until(there: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while not there():
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        assert time.monotonic() < end, "it does not come up"
        time.sleep(0.02)


def _mounts_below(folder: Path) -> list[str]:
    """Deepest first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((place for place in places if place.startswith(f"{folder}/")), reverse=True)
