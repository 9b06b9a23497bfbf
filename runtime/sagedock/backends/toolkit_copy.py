"""The toolkit's copy inside a framework environment.

It lies in a folder named after its content, to which a `.pth` file points: exchanging that one
small file is atomic, and runs that started before keep the folder they began with.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path

from sagedock.errors import RunFailedToStart

PACKAGE = "sagedock_toolkit"
_HOOK = f"{PACKAGE}.pth"
_OLD_SECONDS = 7 * 24 * 3600
_STALE = shutil.ignore_patterns("__pycache__", "*.pyc")


class ToolkitSource:
    """The toolkit as it lies beside the emulator: found, never imported."""

    def __init__(self) -> None:
        """Raises RunFailedToStart when sagedock was installed without it."""
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise RunFailedToStart(
                f"The package {PACKAGE} is missing beside sagedock: install sagedock again, from a "
                "complete wheel or checkout."
            )
        self._package = Path(spec.origin).parent
        in_wheel = Path(__file__).parent / "toolkit" / _HOOK
        self._hook = in_wheel if in_wheel.is_file() else self._package.parent / _HOOK

    def files(self) -> dict[str, Path]:
        """All its files by their place below `containers/mxnet/toolkit`."""
        root, found = str(self._package.parent), {_HOOK: self._hook}
        for folder, names, files in os.walk(self._package):
            names[:] = [name for name in names if name != "__pycache__"]
            for file in files:
                path = os.path.join(folder, file)
                found[os.path.relpath(path, root)] = Path(path)
        return found

    def fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        """Changes when a file of the toolkit does; costs a look at each (under a millisecond)."""
        looks = [(path, path.stat()) for path in self.files().values()]
        return tuple((str(path), stat.st_mtime_ns, stat.st_size) for path, stat in looks)

    def install(self, site_packages: Path, python: Path, lock: int) -> None:
        """Make `import sagedock_toolkit` there give this toolkit; nothing happens when it does."""
        name = f"_{PACKAGE}_{self._digest()}"
        hook = f"{name}\n{self._hook.read_text(encoding='utf-8').strip()}\n"
        place = site_packages / _HOOK
        if place.is_file() and place.read_text(encoding="utf-8") == hook:
            return
        self._copy(site_packages / name, python, lock)
        fresh = site_packages / f"{_HOOK}.new"
        fresh.write_text(hook, encoding="utf-8")
        fresh.replace(place)
        _remove_old(site_packages, keep=name)

    def _copy(self, target: Path, python: Path, lock: int) -> None:
        """Compiled too: runs write no bytecode, and would compile it at each start."""
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._package, target / PACKAGE, ignore=_STALE)
        compiled = (python, "-I", "-S", "-m", "compileall", "-q", target)
        subprocess.run(compiled, check=False, pass_fds=(lock,), stdout=subprocess.DEVNULL)

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for path in sorted(self._package.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(self._package)).encode() + b"\0")
                digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


def _remove_old(site_packages: Path, keep: str) -> None:
    """Earlier copies, once no run can be using them any more."""
    for folder in site_packages.glob(f"_{PACKAGE}_*"):
        if folder.name != keep and folder.stat().st_mtime < time.time() - _OLD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
