"""The folder of all state: whose it is, which version wrote it, and where its emulator listens."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sagedock.errors import StartupError

LAYOUT = 1
"""Version of the folder's layout; databases have versions of their own."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running emulator listens."""

    url: str
    pid: int


class Home:
    """Opened by one emulator at a time; read by the command line tools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[str] | None = None

    @property
    def database(self) -> Path:
        return self.folder / "sagedock.db"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def endpoints(self) -> Path:
        return self.folder / "endpoints"

    @property
    def tls(self) -> Path:
        return self.folder / "tls"

    @property
    def images(self) -> Path:
        """The user's own image families and rows; need not be there."""
        return self.folder / "images.toml"

    def open(self) -> None:
        """Make it ours. Raises StartupError when another emulator has it, when a newer sagedock
        wrote it, or when it cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.folder / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise StartupError(
                f"The home {self.folder} cannot be used ({error.strerror}); name another with "
                "--home or SAGEDOCK_HOME."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            other = self.address()
            where = f" (process {other.pid}, {other.url})" if other else ""
            raise StartupError(
                f"Another sagedock uses the home {self.folder}{where}. Stop it, use it through "
                "`sagedock run`, or name another home with --home."
            ) from None
        self._lock = lock
        # An emulator that was killed could not take its address away.
        (self.folder / "address.json").unlink(missing_ok=True)
        self._check_layout()

    def announce(self, url: str) -> None:
        """Say where we listen, for `sagedock env`, `run`, `status` …"""
        part = self.folder / "address.json.part"
        part.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
        part.replace(self.folder / "address.json")

    def address(self) -> Address | None:
        """The running emulator's address; None when none holds the home's lock."""
        try:
            told = json.loads((self.folder / "address.json").read_text(encoding="utf-8"))
            address = Address(told["url"], told["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return address if self._is_held() else None

    def close(self) -> None:
        """Give it back; nothing happens to a home that is another's."""
        if self._lock is not None:
            (self.folder / "address.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _is_held(self) -> bool:
        if self._lock is not None:
            return True
        try:
            with open(self.folder / "lock", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _check_layout(self) -> None:
        path = self.folder / "layout"
        try:
            layout = int(path.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            path.write_text(f"{LAYOUT}\n", encoding="ascii")
            return
        if layout > LAYOUT:
            self.close()
            raise StartupError(
                f"The home {self.folder} was written by a newer sagedock (layout {layout}, this "
                f"one knows {LAYOUT}). Upgrade sagedock, or name another home with --home."
            )
