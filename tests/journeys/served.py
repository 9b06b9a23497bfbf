"""`sagedock serve` as a process of its own, to be killed and started again."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from journeys.processes import kill, runs_below
from requests_as_sdks_send import PATIENCE, wait_for


def free_port() -> int:
    """For who needs it twice: below the range from which systems take ports for connections, so
    that none of another test's has it meanwhile."""
    while True:
        port = random.randint(15000, 19999)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Served:
    """One home; `start` and `kill` it as often as a test likes."""

    def __init__(self, home: Path, frameworks: Path, *flags: str) -> None:
        self.home = home
        self._command = [sys.executable, "-m", "sagedock", "serve", "--port", "0", *flags]
        self._environment = {
            **os.environ,
            "SAGEDOCK_HOME": str(home),
            "SAGEDOCK_FRAMEWORKS": str(frameworks),
            "SAGEDOCK_BACKEND": "process",
        }
        self.process: subprocess.Popen[str] | None = None
        self.said: list[str] = []

    def start(self) -> Served:
        """Returns when it says that it is ready."""
        self.said = []
        self.process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        wait_for(lambda: self.text, lambda text: "stop     Ctrl-C" in text)
        return self

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def client_kwargs(self) -> dict[str, Any]:
        found = re.search(r"is ready at (\S+)", self.text)
        assert found is not None
        return {
            "endpoint_url": found[1],
            "region_name": "us-east-1",
            "aws_access_key_id": "k",
            "aws_secret_access_key": "s",
        }

    def tell(self, number: signal.Signals) -> int:
        """Its exit code after this signal."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        assert self.tell(signal.SIGKILL) == -signal.SIGKILL

    def end(self) -> None:
        """Whatever state the test left it in, nothing of it stays."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        kill(self.runs())

    def runs(self) -> set[int]:
        return runs_below(self.home)

    def let_go(self) -> None:
        """Jobs of legacy_story.py whose `until` is "go" come to their end."""
        channels = [*self.home.glob("jobs/**/input/data/training")]
        assert channels
        for channel in channels:
            (channel / "go").touch()
