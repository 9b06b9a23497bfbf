"""What a run gets for its instance type: its image, its share of the machine, its GPUs."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docker.types import DeviceRequest

from sagedock.backends.base import RunSpec, Tell
from sagedock.backends.docker import builds, engine_gpus, labels
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.engine_gpus import EngineGpus
from sagedock.backends.docker.gpu_request import WITHOUT_GPUS, device_requests
from sagedock.backends.docker.local_images import LocalImage, find_image
from sagedock.backends.docker.translation import Sizes
from sagedock.backends.gpu_pool import GpuPool
from sagedock.backends.gpu_rules import GpuPlan, can_use, plan, refusal
from sagedock.backends.gpus import Discovery, discover
from sagedock.domain.images import ImageReference, ImageTable
from sagedock.domain.instances import InstanceType
from sagedock.errors import ImageNotFound, RunFailedToStart

_GIB = 1024**3
_FRESH_SECONDS = 1.0
_SMALLEST_MEMORY = 6 * 1024**2
"""Engines refuse less."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The user's settings: SAGEDOCK_GPU, _GPU_SHARING, _INSTANCE_SIZE, _BASE_IMAGE."""

    gpu: Literal["auto", "strict"] = "auto"
    gpu_sharing: bool = False
    instance_size: Literal["memory", "full", "machine"] = "memory"
    base_image: str | None = None


@dataclass(frozen=True, slots=True)
class Gpus:
    """What one run was given."""

    uuids: tuple[str, ...] = ()
    requests: tuple[DeviceRequest, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


class Equipment:
    """`is_elsewhere`: the engine's machine is not ours, or we are in a container of it, so that the
    GPUs we see ourselves say nothing."""

    def __init__(
        self, engine: Engine, images: ImageTable, policy: Policy, owner: str, is_elsewhere: bool
    ) -> None:
        self._engine, self._images, self._policy = engine, images, policy
        self._owner, self._is_elsewhere = owner, is_elsewhere
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, LocalImage]] = {}
        self._found: tuple[EngineGpus, GpuPool] | None = None

    # --- images -----------------------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Raises ImageNotFound for an image that is neither on the engine nor a family's."""
        if self._named(name) is not None:
            return
        try:
            self._images.resolve(name)
        except ImageNotFound as error:
            pulled = self._images.local(name) or name
            raise ImageNotFound(
                f"The Docker engine has no image {pulled!r}. Fetch or build it: `docker pull "
                f"{pulled}`, or `docker build -t {pulled} …`. {error}"
            ) from error

    def image(self, name: str, instance_type: str) -> LocalImage | None:
        """The engine's image for a run on that instance type: that of the very name, or the one of
        ours that stands for it; None where that has to be built first. Raises ImageNotFound and
        RunFailedToStart."""
        found = self._named(name)
        if found is None:
            reference = self._images.resolve(name)
            family = self._images.family(reference.framework)
            device = self.plan(name, instance_type).device
            found = self._look_at(family.engine_tag(device), reference)
        if found is not None:
            found.raise_if_foreign(self._engine)
        return found

    def prepare(self, name: str, instance_type: str, tell: Tell) -> None:
        """Build what is missing or out of date; say what the run will not have. Raises
        ImageNotFound and RunFailedToStart."""
        self.check(name)
        decided = self.plan(name, instance_type)
        if decided.warning:
            tell(decided.warning)
        if self._named(name) is None:
            reference = self._images.resolve(name)
            family = self._images.family(reference.framework)
            builds.ensure(self._engine, family, decided.device, tell, base=self._policy.base_image)
            with self._lock:
                self._seen.clear()

    def is_ready(self, name: str, instance_type: str) -> bool:
        """Whether `prepare` would have nothing to build. Raises as it does."""
        if self._named(name) is not None:
            return True
        family = self._images.family(self._images.resolve(name).framework)
        return builds.is_current(self._engine, family, self.plan(name, instance_type).device)

    def unbuilt(self, name: str, instance_type: str) -> tuple[str, str] | None:
        """The tag of the image of ours that stands for that one and was never built, and what
        `sagedock images build` calls it; None where nothing is missing. Raises ImageNotFound and
        RunFailedToStart."""
        self.check(name)
        if self._named(name) is not None:
            return None
        reference = self._images.resolve(name)
        family = self._images.family(reference.framework)
        device = family.device(self.plan(name, instance_type).device)
        tag = family.engine_tag(device)
        if self._look_at(tag, reference) is not None:
            return None
        return tag, f"{family.name}-cuda" if device == "gpu" else family.name

    def _named(self, name: str) -> LocalImage | None:
        """The image of that very name, or of the name that the user's table gives it. Not one of
        ours: those go by device, and are kept up to date."""
        wanted = self._images.local(name) or name
        reference = self._images.parse(name)
        found = self._look_at(wanted, reference if reference.framework else None)
        return None if found is not None and found.is_ours and reference.framework else found

    def _look_at(self, name: str, reference: ImageReference | None) -> LocalImage | None:
        """One start asks for its image a dozen times, and each answer costs a millisecond."""
        now = time.monotonic()
        with self._lock:
            seen = self._seen.get(name)
        found: LocalImage | None
        if seen is not None and now - seen[0] < _FRESH_SECONDS:
            found = seen[1]
        else:
            found = find_image(self._engine, name)
            if found is not None:  # one that is missing may be there in a moment
                with self._lock:
                    self._seen[name] = now, found
        return found and replace(found, reference=reference)

    # --- sizes ------------------------------------------------------------------------------------

    def sizes(self, spec: RunSpec) -> Sizes:
        """No more than the machine has, which its engine refuses. The service's hosting containers
        have the 64 MiB of shared memory that Docker gives by itself
        (aws/sagemaker-python-sdk issue 2801); of training no figure is known: half the memory."""
        instance, facts = InstanceType.parse(spec.instance_type), self._engine.facts
        memory = cpus = None
        if self._policy.instance_size != "machine" and instance.memory_gib is not None:
            wanted = int(instance.memory_gib * _GIB)
            memory = wanted if _SMALLEST_MEMORY <= wanted < facts.memory_bytes else None
        if self._policy.instance_size == "full" and instance.vcpus is not None:
            cpus = float(min(instance.vcpus, facts.cpus))
        if "serve" in spec.command:
            return Sizes(memory, cpus)
        return Sizes(memory, cpus, shared_memory=(memory or facts.memory_bytes) // 2)

    # --- GPUs -------------------------------------------------------------------------------------

    def plan(self, name: str, instance_type: str) -> GpuPlan:
        """Raises RunFailedToStart for a GPU that is not there, under SAGEDOCK_GPU=strict."""
        instance = InstanceType.parse(instance_type)
        decide = functools.partial(plan, instance, name, mode=self._policy.gpu)
        # Most runs want none; whether there are some is asked by a container, for the first one.
        if decide(present=(), mode="auto").warning is None:
            return decide(present=())
        found, pool = self._look()
        return decide(present=pool.gpus, trouble=found.trouble)

    def take_gpus(self, spec: RunSpec, image: LocalImage) -> Gpus:
        """For the run of that spec, until `give_back`. Raises RunFailedToStart when the image can
        use none of the machine's, or when others have them."""
        decided = self.plan(spec.image, spec.instance_type)
        if not decided.gpus:
            told = {"SAGEDOCK_GPU_TOLD": "1"} if decided.warning and image.is_ours else {}
            return Gpus(env={**WITHOUT_GPUS, **told, **self._mode(image)})
        found, pool = self._look()
        said = refusal(pool.gpus, image.gpu_architectures, image.name)
        if said:
            raise RunFailedToStart(said)
        given = pool.take(
            decided.gpus,
            spec.name,
            of=whose(spec.labels),
            among=can_use(pool.gpus, image.gpu_architectures),
        )
        requests = device_requests(given, self._engine.facts, found.way)
        return Gpus(tuple(gpu.uuid for gpu in given), tuple(requests), self._mode(image))

    def _mode(self, image: LocalImage) -> dict[str, str]:
        """For the toolkit: what a script gets that asks for a GPU on a CPU instance."""
        return {"SAGEDOCK_GPU": self._policy.gpu} if image.is_ours else {}

    def hold_gpus(self, record: Mapping[str, Any]) -> None:
        """What a container has that was started before us."""
        told = record["Config"].get("Labels") or {}
        uuids = told.get(labels.GPUS)
        if uuids:
            of = {name.removeprefix("sagedock."): value for name, value in told.items()}
            self._look()[1].hold(told[labels.RUN], uuids.split(","), of=whose(of))

    def give_back(self, name: str) -> None:
        with self._lock:
            found = self._found
        if found is not None:
            found[1].give_back(name)

    def count(self) -> int:
        return len(self._look()[1].gpus)

    def _look(self) -> tuple[EngineGpus, GpuPool]:
        """Once: by the driver here, and by a container of any image that the engine has."""
        with self._lock:
            if self._found is None:
                here = Discovery() if self._is_elsewhere else discover()
                image = self._any_image()
                told = {labels.HOME: self._owner}
                found = engine_gpus.look(self._engine, image, here, self._is_elsewhere, told)
                self._found = found, GpuPool(found.gpus, self._policy.gpu_sharing)
            return self._found

    def _any_image(self) -> str | None:
        ours = self._engine.client.api.images(filters={"label": labels.FAMILY})
        others = self._engine.client.api.images()
        return next((str(image["Id"]) for image in (*ours, *others)), None)


def whose(told: Mapping[str, str]) -> str:
    """In words, for whoever waits for a GPU."""
    for name, words in (("job", "training job"), ("endpoint", "endpoint")):
        if name in told:
            return f"{words} {told[name]}"
    return "another run"
