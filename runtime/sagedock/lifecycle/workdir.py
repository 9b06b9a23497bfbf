"""The /opt/ml tree on our side: folders, and the configuration files a container reads.

Layout and file contents: reference "container contract" 1.2-1.5, from AWS's developer guide
(your-algorithms-training-algo-running-container) and the training toolkits.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sagedock.domain.training import Channel, TrainingJob


@dataclass(frozen=True, slots=True)
class Workdir:
    """One host's folder: `ml` is what it sees as /opt/ml, `root` is the backend's own."""

    root: Path

    @property
    def ml(self) -> Path:
        return self.root / "ml"

    @property
    def data(self) -> Path:
        return self.ml / "input" / "data"

    @property
    def model(self) -> Path:
        return self.ml / "model"

    @property
    def output_data(self) -> Path:
        return self.ml / "output" / "data"

    @property
    def failure(self) -> Path:
        return self.ml / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        return self.ml / "checkpoints"

    def remove(self) -> None:
        """Files of a user's run may vanish meanwhile, and its folders be closed to ourselves: what
        stays all the same is swept at the next start."""
        shutil.rmtree(self.root, ignore_errors=True)
        if self.root.exists():
            _open_up(self.root)
            shutil.rmtree(self.root, ignore_errors=True)


def _open_up(root: Path) -> None:
    """Let us enter and empty every folder below `root`; nothing that a link leads to."""
    with contextlib.suppress(OSError):
        root.chmod(0o700)
    for folder, names, _ in os.walk(root):
        for path in (Path(folder, name) for name in names):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(0o700)


def training_workdir(root: Path, job: TrainingJob, host: str, interface: str) -> Workdir:
    """A fresh tree for `host` of `job`, with its configuration files.

    model/ and output/data/ have to exist before the container starts: neither toolkit makes them
    (reference 1.2).
    """
    workdir = Workdir(root)
    config = workdir.ml / "input" / "config"
    folders = (config, workdir.data, workdir.model, workdir.output_data, workdir.ml / "code")
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    if job.request.get("CheckpointConfig"):
        workdir.checkpoints.mkdir(exist_ok=True)
    _write(config / "hyperparameters.json", dict(job.hyperparameters))
    _write(config / "inputdataconfig.json", input_data_config(job.channels))
    _write(config / "resourceconfig.json", resource_config(job, host, interface))
    return workdir


def input_data_config(channels: Iterable[Channel]) -> dict[str, dict[str, str]]:
    """Content of inputdataconfig.json; ContentType only when the request gave one."""
    told: dict[str, dict[str, str]] = {}
    for channel in channels:
        told[channel.name] = {
            "TrainingInputMode": channel.input_mode,
            "S3DistributionType": channel.distribution,
            "RecordWrapperType": channel.record_wrapper,
        }
        if channel.content_type is not None:
            told[channel.name]["ContentType"] = channel.content_type
    return told


def resource_config(job: TrainingJob, host: str, interface: str) -> dict[str, object]:
    """Content of resourceconfig.json for `host`; the toolkit reads `current_group_name`
    (reference 1.5)."""
    group = {
        "instance_group_name": "homogeneousCluster",
        "instance_type": job.instance_type,
        "hosts": list(job.hosts),
    }
    return {
        "current_host": host,
        "current_instance_type": job.instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": list(job.hosts),
        "instance_groups": [group],
        "network_interface_name": interface,
    }


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
