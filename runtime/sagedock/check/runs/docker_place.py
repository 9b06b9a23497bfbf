"""Runs of a check in containers: of the user's own engine, under the label of a throw-away folder,
by which all of them are removed with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sagedock.backends.base import Backend, Mount, Run, RunSpec, Tell
from sagedock.backends.docker import labels
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.equipment import Policy
from sagedock.backends.docker.runs import DockerRun
from sagedock.backends.docker.surroundings import HostSight
from sagedock.check.runs.machine import Machine
from sagedock.check.runs.place import Provisions
from sagedock.check.runs.probe import SOURCE
from sagedock.errors import RunFailedToStart

_LABEL = labels.CHECK.removeprefix("sagedock.")
LAYERS = "/sagedock-check/layers"
_SUBMITTED = "SAGEMAKER_SUBMIT_DIRECTORY"


class _Containers(DockerBackend):
    """The emulator's own, but that runs have what the target's requests give them, and code that
    lies here comes along."""

    def __init__(
        self, engine: Engine, home: Path, policy: Policy, given: Provisions, kept: Path
    ) -> None:
        super().__init__(engine, home, policy=policy)
        self._given, self._kept = given, kept

    def prepare(self, image: str, tell: Tell, instance_type: str = "") -> None:
        """What takes minutes nobody asked for: an image that was never built is told of."""
        instance_type = instance_type or self._given.hosting.instance_type
        unbuilt = self.unbuilt(image, instance_type)
        if unbuilt is not None:
            tag, target = unbuilt
            raise RunFailedToStart(
                f"The Docker engine does not have {tag} yet, which the run takes place in. Build "
                f"it once: sagedock images build {target} --backend docker"
            )
        super().prepare(image, tell, instance_type)

    def ahead(self, spec: RunSpec) -> None:
        super().ahead(self._provided(spec))

    def start(self, spec: RunSpec) -> Run:
        return super().start(self._provided(spec))

    def _layers(self, spec: RunSpec) -> Path | None:
        """The folder of that image's requirement layers, which checks have in common: the second
        check of a script installs nothing. None for images that know nothing of layers, and where
        the engine does not see our folders."""
        image = self._image(spec)
        if not image.is_ours or not isinstance(self._sight(image.id), HostSight):
            return None
        folder = self._kept / image.id.rpartition(":")[2][:12]
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _provided(self, spec: RunSpec) -> RunSpec:
        if _LABEL in spec.labels:
            return spec  # a start that is tried once more
        given = self._given.hosting if "serve" in spec.command else self._given.training
        env, mounts = dict(spec.env), spec.mounts
        if given.isolated:
            # It reaches nothing anyway, and what fails then names AWS's own address.
            env.pop("AWS_ENDPOINT_URL", None)
        source = env.get(_SUBMITTED, "")
        if source.startswith("file://"):
            mounts = (*mounts, Mount(Path(source.removeprefix("file://")), SOURCE, True))
            env[_SUBMITTED] = SOURCE
        layers = None if given.isolated else self._layers(spec)
        if layers is not None:
            mounts = (*mounts, Mount(layers, LAYERS))
            env["SAGEDOCK_LAYERS"] = LAYERS
        return replace(
            spec,
            env=env,
            mounts=mounts,
            instance_type=spec.instance_type or given.instance_type,
            isolated=given.isolated,
            labels={**spec.labels, _LABEL: spec.image},
        )


@dataclass(frozen=True)
class Containers:
    """Fulfils `place.Place`."""

    engine: Engine
    machine: Machine
    given: Provisions
    name: Literal["process", "docker"] = "docker"

    @property
    def _policy(self) -> Policy:
        machine = self.machine
        return Policy(machine.gpu, machine.gpu_sharing, machine.instance_size, machine.base_image)

    def backend(self, home: Path) -> Backend:
        assert self.machine.frameworks is not None
        kept = self.machine.frameworks / "layers"
        return _Containers(self.engine, home, self._policy, self.given, kept)

    def written(self, run: Run, worth: Callable[[str], bool]) -> tuple[str, ...]:
        assert isinstance(run, DockerRun)
        return run.written(worth)
