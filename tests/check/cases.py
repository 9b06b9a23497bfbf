"""The corpus: what fails in the cloud, and what does not.

A case is a Python script, a folder with a train.py, or a text file with several files in it:
`# run:` are the options of `sagedock check`, `== NAME` begins a file; `pack.sh` is run first. A
Dockerfile is an image: its cases need an engine, and are run by tests/docker, as are those with
`# runs: docker`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

_BY_CLOCK = frozenset({"SD601", "SD603", "SD604"})
"""Rules that compare speeds, and say nothing where a machine that has other work leaves doubt."""


def found_at_last(wanted: set[str], look: Callable[[], set[str]]) -> set[str]:
    """What a look finds: the third one at the latest, where only speeds are to be compared."""
    found = look()
    for _ in range(2 if wanted <= _BY_CLOCK else 0):
        found = found or look()
    return found


@dataclass(frozen=True)
class Case:
    """One entry of the corpus."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def text(self) -> str:
        file = self.path / "train.py" if self.path.is_dir() else self.path
        return file.read_text(encoding="utf-8")

    def head(self, name: str) -> str:
        """`# name: value` of the case's first lines."""
        found = re.search(rf"^# {name}: (.+)$", self.text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def is_script(self) -> bool:
        return self.path.is_dir() or self.path.suffix == ".py"

    @property
    def is_image(self) -> bool:
        return self.path.suffix == ".dockerfile"

    @property
    def trains_or_serves(self) -> bool:
        """Whether checking it runs user code."""
        return bool(self.head("runs"))

    @property
    def needs_engine(self) -> bool:
        """Whether it runs in containers, `# runs: docker`; its Dockerfile, where it has one, is the
        image `my-algo`."""
        return self.head("runs") == "docker"

    def request(self, folder: Path) -> list[str]:
        """Options that ask a served image what `# asks:` says; none where it says nothing."""
        body = self.head("asks")
        if not body:
            return []
        (folder / "ask.json").write_text(f"{body}\n", encoding="utf-8")
        return ["--request", str(folder / "ask.json")]

    def laid_out(self, folder: Path) -> list[str]:
        """Its files in `folder`; the words of `sagedock check` for it, relative to the folder."""
        if self.is_script:
            if self.path.is_dir():
                shutil.copytree(self.path, folder / self.path.name)
            else:
                shutil.copy(self.path, folder)
            return [self.path.name, *shlex.split(self.head("options"))]
        _, *parts = re.split(r"^== (\S+)\n", self.text, flags=re.MULTILINE)
        for name, content in zip(parts[::2], parts[1::2], strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content, encoding="utf-8")
        if (folder / "pack.sh").exists():
            packed(folder, (folder / "pack.sh").read_text(encoding="utf-8"))
        return shlex.split(self.head("run"))


def packed(folder: Path, commands: str) -> None:
    """Run the commands that make an archive."""
    subprocess.run(["sh", "-eu"], input=commands, cwd=folder, text=True, check=True)


def built(dockerfile: str, tag: str) -> None:
    """Build the image; a line `# docker build …` of the Dockerfile says with which options."""
    said = re.search(r"^# docker build (.*)-t \S+ \.$", dockerfile, re.MULTILINE)
    options = shlex.split(said[1]) if said else []
    told = subprocess.run(
        ["docker", "build", "--quiet", *options, "--tag", tag, "-"],
        input=dockerfile, env={**os.environ, "DOCKER_BUILDKIT": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout


def _cases(kind: str) -> list[Case]:
    return [Case(path) for path in sorted((CORPUS / kind).iterdir())]


DEFECTIVE = _cases("defective")
CLEAN = _cases("clean")
STATIC_DEFECTIVE = [c for c in DEFECTIVE if not c.trains_or_serves and not c.is_image]
STATIC_CLEAN = [c for c in CLEAN if not c.trains_or_serves and not c.is_image]
RUN_DEFECTIVE = [c for c in DEFECTIVE if c.trains_or_serves and not c.needs_engine]
RUN_CLEAN = [c for c in CLEAN if c.trains_or_serves and not c.needs_engine]
DOCKED_DEFECTIVE = [case for case in DEFECTIVE if case.needs_engine]
DOCKED_CLEAN = [case for case in CLEAN if case.needs_engine]
IMAGES_DEFECTIVE = [case for case in DEFECTIVE if case.is_image]
IMAGES_CLEAN = [case for case in CLEAN if case.is_image]
