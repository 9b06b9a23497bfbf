"""Training jobs as a backend runs them: a process, an /opt/ml tree, variables; no emulator."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TOOLKIT = Path(__file__).parents[3] / "containers" / "mxnet" / "toolkit"
PYTHON = os.environ.get("SAGEDOCK_TEST_PYTHON", sys.executable)
"""The interpreter that jobs run on: the toolkit supports more than the emulator does."""

MXNET_PYTHON = os.environ.get("SAGEDOCK_TEST_MXNET_PYTHON", "")
"""Read now: a fixture for all tests removes SAGEDOCK_* from the environment."""

SDK_SETTINGS: dict[str, Any] = {
    "sagemaker_program": "entry.py",
    "sagemaker_region": "us-east-1",
    "sagemaker_container_log_level": 20,
    "sagemaker_job_name": "job",
    "sagemaker_enable_cloudwatch_metrics": False,
}


@dataclass
class Ended:
    """A job that has ended: exit code, log (stdout and stderr as one), and its tree."""

    code: int
    log: str
    base: Path

    @property
    def failure(self) -> str:
        path = self.base / "output" / "failure"
        return path.read_text() if path.exists() else ""

    @property
    def succeeded(self) -> bool:
        return (self.base / "output" / "success").exists()

    def said(self, word: str) -> Any:
        """What the script said by `print(word, json)`, or logged so."""
        return json.loads(self.log.split(word + " ", 1)[1].splitlines()[0])


@dataclass
class Job:
    """A training job to be: what is in its tree, and how it is started."""

    base: Path
    site: Path
    version: str = "1.9.0"
    python: str = PYTHON
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in ("input/config", "input/data/training", "model", "output/data"):
            (self.base / folder).mkdir(parents=True)
        self.configure("inputdataconfig", {"training": {"TrainingInputMode": "File"}})
        self.configure("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})
        self.hyperparameters()

    def configure(self, name: str, value: Any) -> None:
        (self.base / "input" / "config" / f"{name}.json").write_text(json.dumps(value))

    def hyperparameters(self, raw: Mapping[str, str] | None = None, **decoded: Any) -> None:
        """As the SageMaker SDK encodes them, and `raw` ones as they are; None leaves one out."""
        values = {"sagemaker_submit_directory": str(self.base / "source.tar.gz")}
        encoded = {k: json.dumps(v) for k, v in {**SDK_SETTINGS, **values, **decoded}.items()}
        self.configure("hyperparameters", {**encoded, **(raw or {})})

    def without(self, name: str) -> None:
        path = self.base / "input" / "config" / "hyperparameters.json"
        values = json.loads(path.read_text())
        del values[name]
        path.write_text(json.dumps(values))

    def source(self, **files: str) -> Path:
        """The source archive; `entry_py="…"` is entry.py."""
        path = self.base / "source.tar.gz"
        path.write_bytes(archive({name.replace("_", ".", 1): text for name, text in files.items()}))
        return path

    def start(self) -> subprocess.Popen[str]:
        keep = {k: os.environ[k] for k in ("PATH", "HOME", "LANG", "TMPDIR") if k in os.environ}
        env = {
            **keep,
            "SAGEMAKER_BASE_DIR": str(self.base),
            "SAGEDOCK_FRAMEWORK_VERSION": self.version,
            "SAGEDOCK_HOSTS": json.dumps({"algo-1": "127.0.0.1"}),
            "PYTHONPATH": str(self.site),
            "PYTHONUNBUFFERED": "1",
            **self.env,
        }
        return subprocess.Popen(
            [self.python, "-m", "sagedock_toolkit", "train"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def run(self, **files: str) -> Ended:
        if files:
            self.source(**files)
        process = self.start()
        log, _ = process.communicate(timeout=120)
        return Ended(process.returncode, log, self.base)

    def stop_when(self, line: str) -> Ended:
        """Start, send SIGTERM to the first process alone when it has said `line`, and wait."""
        process = self.start()
        assert process.stdout is not None
        log = ""
        while line not in log:
            log += process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        return Ended(process.returncode, log + rest, self.base)


def archive(files: Mapping[str, str | bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), int(time.time())
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that makes every Python with it on PYTHONPATH read the toolkit's own .pth file, as
    one does in whose site-packages the toolkit is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(
        f"import site, sys\nsite.addsitedir({str(TOOLKIT)!r})\nsys.path.remove({str(TOOLKIT)!r})\n"
        f"sys.path.insert(0, {str(TOOLKIT)!r})\n"
    )
    return folder


@pytest.fixture
def new_job(tmp_path: Path, site: Path) -> Callable[..., Job]:
    def make(name: str = "ml", **settings: Any) -> Job:
        return Job(tmp_path / name, site, **settings)

    return make


@pytest.fixture
def legacy(new_job: Callable[..., Job]) -> Job:
    return new_job(version="1.2.1")


@pytest.fixture
def script(new_job: Callable[..., Job]) -> Job:
    return new_job(version="1.9.0")


@pytest.fixture
def mxnet_python() -> str:
    if not MXNET_PYTHON:
        pytest.skip("SAGEDOCK_TEST_MXNET_PYTHON names no interpreter that has MXNet")
    return MXNET_PYTHON
