"""User code in ordinary processes: the image becomes an interpreter with the toolkit.

The `/opt/ml` mount becomes SAGEMAKER_BASE_DIR and port 8080 a free loopback port
(SAGEMAKER_BIND_TO_PORT). User code runs unconfined, as the user who started the emulator.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Literal

from sagedock.backends import processes
from sagedock.backends.base import Guard, Run, RunSpec, Tell
from sagedock.backends.framework_builds import Framework
from sagedock.backends.frameworks import Frameworks, FrameworkStatus
from sagedock.backends.ports import LOOPBACK, MeetingPoints, Ports
from sagedock.backends.process_runs import MARK, ProcessRun, RunAddress, spawn
from sagedock.backends.run_variables import OPT_ML, Allotted, run_variables
from sagedock.domain.images import ImageTable
from sagedock.errors import RunFailedToStart

log = logging.getLogger(__name__)

_OPT_ML_PATH = re.compile(r"/opt/ml(?=/|$|\s)")
_CLEAN_SECONDS = 10.0


class ProcessBackend:
    """Fulfils `base.Backend`.

    `home` marks what is ours: two emulators with two homes never end each other's runs.
    `frameworks` is the folder of framework environments, which several homes may share. `gpu` is
    handed to the toolkit: what a script gets that asks for a GPU where there is none. `images`
    says which family stands for an image.
    """

    name = "process"

    def __init__(
        self,
        home: Path,
        frameworks: Path,
        gpu: Literal["auto", "strict"] = "auto",
        images: ImageTable | None = None,
    ) -> None:
        self._images = images or ImageTable.builtin()
        self._frameworks = Frameworks(frameworks, self._images.families)
        self._owner = hashlib.sha256(str(home.absolute()).encode()).hexdigest()[:12]
        self._variables = {
            "SAGEDOCK_GPU": gpu,
            "SAGEDOCK_LAYERS": str(home.absolute() / "layers"),
            "SAGEDOCK_UV": str(self._frameworks.uv),
        }
        self._ports = Ports()
        self._lock = threading.Lock()
        self._runs: dict[str, ProcessRun] = {}
        self._meeting_points = MeetingPoints(self._ports)

    def check(self, image: str) -> None:
        self._images.resolve(image)

    def prepare(self, image: str, tell: Tell, instance_type: str = "") -> None:
        reference = self._images.resolve(image)
        self._frameworks.ensure(reference.framework, tell)

    def guard(self, image: str, instance_type: str = "") -> Guard:
        return "nothing" if os.geteuid() == 0 else "mode"

    def ahead(self, spec: RunSpec) -> None:
        """Nothing to gain: a process is there in some ten milliseconds."""

    def abandon(self, name: str) -> None:
        """Nothing was begun."""

    def start(self, spec: RunSpec) -> Run:
        if spec.isolated:
            raise RunFailedToStart(
                "EnableNetworkIsolation takes a container: the process backend runs code in a "
                "plain process and cannot cut it off from the network. Leave "
                "EnableNetworkIsolation out of the request to run it here."
            )
        image = self._images.resolve(spec.image)
        framework = self._frameworks.ensure(image.framework, log.info)
        folders = _place_mounts(spec)
        ports = {port: self._ports.take() for port in spec.ports}
        mark = self._new_mark()
        try:
            meeting_port = self._meeting_points.enter(mark, spec)
            allotted = Allotted(mark, ports, meeting_port)
            base = {"SAGEMAKER_BASE_DIR": str(folders)} if folders else {}
            own = run_variables(spec, image, framework, allotted)
            env = {**self._variables, **own, **base, **spec.env, MARK: mark}
            command = _command(spec, framework, env["PATH"], folders)
            child, since = spawn(command, env, spec.workdir)
        except BaseException:
            self._ports.give_back(*ports.values())
            self._meeting_points.leave(mark)
            raise
        boot = processes.boot_id()
        address = RunAddress(child.pid, since, boot, mark, spec.workdir, ports)
        run = ProcessRun(address, child, self._forget)
        with self._lock:
            self._runs[run.id] = run
        return run

    def find(self, run_id: str) -> Run | None:
        with self._lock:
            if run_id in self._runs:
                return self._runs[run_id]
            address = RunAddress.parse(run_id)
            if address is None or not address.mark.startswith(f"{self._owner}."):
                return None
            if not address.workdir.is_dir():
                return None
            for port in address.ports.values():
                self._ports.hold(port)
            run = self._runs[run_id] = ProcessRun(address, None, self._forget)
            return run

    def clean(self, keep: frozenset[str]) -> None:
        with self._lock:
            unwanted = [run for run_id, run in self._runs.items() if run_id not in keep]
        for run in unwanted:
            run.close()
        kept = {address.mark for address in map(RunAddress.parse, keep) if address}
        end = time.monotonic() + _CLEAN_SECONDS
        while time.monotonic() < end:
            ours = processes.marked(MARK, f"{self._owner}.")
            orphans = [pid for pid, mark in ours.items() if mark not in kept]
            if not orphans:
                return
            processes.send(signal.SIGKILL, orphans)
            time.sleep(0.005)

    def describe(self) -> str:
        return "user code runs as plain processes of yours, not confined in a container"

    def host_address(self) -> str:
        return LOOPBACK

    def neighbours(self) -> tuple[str, ...]:
        return ()

    def gpu_count(self) -> int:
        """None: the environments hold MXNet's CPU build."""
        return 0

    def status(self) -> list[FrameworkStatus]:
        """The framework environments, for `sagedock images` and `sagedock doctor`."""
        return self._frameworks.status()

    def _new_mark(self) -> str:
        return f"{self._owner}.{secrets.token_hex(8)}"

    def _forget(self, run: ProcessRun) -> None:
        self._ports.give_back(*run.ports)
        self._meeting_points.leave(run.mark)
        with self._lock:
            self._runs.pop(run.id, None)


def _place_mounts(spec: RunSpec) -> Path | None:
    """The folder that stands for /opt/ml; mounts below it become links in it. Raises
    RunFailedToStart for one elsewhere: a process sees the machine's own paths."""
    roots = [mount.outside for mount in spec.mounts if mount.inside == OPT_ML]
    root = roots[0] if roots else None
    for mount in spec.mounts:
        if mount.inside == OPT_ML:
            continue
        if root is None or not mount.inside.startswith(f"{OPT_ML}/"):
            raise RunFailedToStart(
                f"The process backend cannot show {mount.inside} to a run: only paths below "
                f"{OPT_ML} can be other folders. Use a path below {OPT_ML}."
            )
        place = root / mount.inside[len(OPT_ML) + 1 :]
        try:
            _link(place, mount.outside)
        except OSError as error:
            raise RunFailedToStart(
                f"{mount.inside} could not be placed at {place}: {error}."
            ) from error
    return root


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place.is_dir() and not any(place.iterdir()):
        place.rmdir()
    place.symlink_to(target, target_is_directory=True)


def _command(
    spec: RunSpec, framework: Framework, path: str, folders: Path | None
) -> tuple[str, ...]:
    """The image's entry point with the spec's command, or what the job names instead. There,
    /opt/ml is written as the folder that stands for it."""

    def outside(word: str) -> str:
        return _OPT_ML_PATH.sub(str(folders), word) if folders else word

    entry = (str(framework.python), "-m", "sagedock_toolkit")
    if not spec.entrypoint:
        words = tuple(outside(word) for word in spec.arguments)
        return (*entry, *(words or spec.command))
    program, *rest = (outside(word) for word in (*spec.entrypoint, *spec.arguments))
    found = shutil.which(spec.workdir / program if "/" in program else program, path=path)
    if found is None:
        raise RunFailedToStart(
            f"ContainerEntrypoint names {program!r}, and there is no such program. PATH is {path}."
        )
    return (str(found), *rest)
