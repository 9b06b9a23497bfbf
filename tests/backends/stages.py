"""Stages: one per backend, on which the contract suite puts the same plays."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from sagedock.backends.base import Backend, Mount, Run, RunSpec
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.process import ProcessBackend
from scripted import Play, ScriptedBackend

IMAGE = "sagedock/python"

# A process's, and a container's, way to do what a Play does: each line is one step.
_PRELUDE = """import os, signal, sys, time
ml = os.environ.get('SAGEMAKER_BASE_DIR', '/opt/ml')
"""
_WAIT = "while not os.path.exists(ml + '/go'): time.sleep(0.002)"
_SERVE = """
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ.get('SAGEMAKER_BIND_TO_PORT', 8080))
where = (os.environ.get('SAGEDOCK_BIND_HOST', '0.0.0.0'), port)
http.server.HTTPServer(where, Echo).serve_forever()
"""


class ProcessPlay:
    """The steps of a `Play`, as a Python script."""

    def __init__(self, ml: Path) -> None:
        self.source = _PRELUDE
        self._ml = ml

    def prints(self, *lines: str, end: str = "\n") -> ProcessPlay:
        return self.prints_bytes("".join(line + end for line in lines).encode())

    def prints_bytes(self, content: bytes) -> ProcessPlay:
        return self.does(f"sys.stdout.buffer.write({content!r}); sys.stdout.buffer.flush()")

    def writes(self, path: str, content: bytes) -> ProcessPlay:
        return self.does(f"open(ml + '/{path}', 'wb').write({content!r})")

    def waits(self) -> ProcessPlay:
        return self.does(_WAIT)

    def serves(self) -> ProcessPlay:
        return self.does(_SERVE)

    def exits(self, code: int) -> ProcessPlay:
        return self.does(f"sys.exit({code})")

    def ignores_sigterm(self) -> ProcessPlay:
        return self.does("signal.signal(signal.SIGTERM, signal.SIG_IGN)")

    def does(self, source: str) -> ProcessPlay:
        self.source += source + "\n"
        return self

    def goes_on(self) -> None:
        (self._ml / "go").touch()


class Stage(ABC):
    """A backend, and plays for it. `model` is a folder of its own at /opt/ml/model."""

    image = IMAGE
    cuts_characters = False
    """A line of over 16 KiB may have a character that is two replacement characters: the engine's
    json-file log cuts it there, between bytes."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self.backend = backend
        self.folder = folder
        self.model = folder / "model-elsewhere"
        self.model.mkdir(parents=True)
        self._numbers = itertools.count(1)
        self._workdir = self._next_workdir()

    @abstractmethod
    def play(self) -> Any:
        """Steps for the next run, to be handed to `start`."""

    def entrypoint(self, play: Any) -> tuple[str, ...]:
        return ()

    @abstractmethod
    def restarted(self) -> Backend:
        """The backend as another emulator on the same home sees it."""

    def spec(self, play: Any, **wishes: Any) -> RunSpec:
        workdir = self._workdir
        mounts = (Mount(workdir / "ml", "/opt/ml"), Mount(self.model, "/opt/ml/model"))
        standard: dict[str, Any] = {
            "name": workdir.name,
            "image": self.image,
            "command": ("train",),
            "workdir": workdir,
            "mounts": mounts,
            "entrypoint": self.entrypoint(play),
        }
        self._workdir = self._next_workdir()
        return RunSpec(**{**standard, **wishes})

    def start(self, play: Any, **wishes: Any) -> Run:
        return self.backend.start(self.spec(play, **wishes))

    @property
    def ml(self) -> Path:
        """/opt/ml of the next run."""
        return self._workdir / "ml"

    def _next_workdir(self) -> Path:
        workdir = self.folder / f"run-{next(self._numbers)}"
        (workdir / "ml" / "model").mkdir(parents=True)
        return workdir


class ScriptedStage(Stage):
    backend: ScriptedBackend

    def play(self) -> Play:
        return self.backend.expect("train")

    def restarted(self) -> Backend:
        return self.backend


class ProcessStage(Stage):
    frameworks: Path

    def play(self) -> ProcessPlay:
        return ProcessPlay(self.ml)

    def entrypoint(self, play: ProcessPlay | None) -> tuple[str, ...]:
        if play is None:
            return ()
        (self._workdir / "play.py").write_text(play.source)
        return ("python", "-S", str(self._workdir / "play.py"))

    def restarted(self) -> Backend:
        return ProcessBackend(self.folder, self.frameworks)


class DockerStage(Stage):
    """Plays are Python scripts in an image that is not one of ours."""

    image = "python:3.11-slim-bookworm"
    cuts_characters = True
    engine: Engine

    def play(self) -> ProcessPlay:
        return ProcessPlay(self.ml)

    def entrypoint(self, play: ProcessPlay | None) -> tuple[str, ...]:
        if play is None:
            return ()
        (self.ml / "play.py").write_text(play.source)
        return ("python3", "-S", "/opt/ml/play.py")

    def restarted(self) -> Backend:
        return DockerBackend(self.engine, self.folder)
