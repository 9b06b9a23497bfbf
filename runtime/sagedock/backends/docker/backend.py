"""User code in containers: RunSpecs become containers of the user's own engine.

Every container, network and volume carries the label of the home that it belongs to, and nothing
else on the engine is touched.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import docker.types
import requests
from docker.errors import APIError, DockerException, NotFound

from sagedock.backends.base import Guard, Mount, Run, RunSpec, Tell
from sagedock.backends.docker import labels
from sagedock.backends.docker.engine import GONE, Engine, Witness, explanation
from sagedock.backends.docker.equipment import Equipment, Gpus, Policy
from sagedock.backends.docker.files import copy_in, copy_out, has_foreign_files
from sagedock.backends.docker.local_images import LocalImage
from sagedock.backends.docker.networks import JobNetwork, JobNetworks
from sagedock.backends.docker.programs import check_program
from sagedock.backends.docker.refusals import raise_refusal
from sagedock.backends.docker.runs import PREFIX, DockerRun
from sagedock.backends.docker.surroundings import (
    NoSight,
    Sight,
    look,
    neighbourhood,
    own_container,
    place_of,
)
from sagedock.backends.docker.translation import Placement, create_options
from sagedock.domain.images import ImageTable
from sagedock.errors import ImageNotFound, RunFailedToStart

log = logging.getLogger("sagedock.docker")

_PASSWD = "passwd"
_ROOT = "0:0"
_CHOWN_PLACE = "/sagedock-files"
_AT_ONCE = 16
_CUDA_CACHE = "/var/cache/cuda"
"""As CUDA_CACHE_PATH of our images names it."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A container that was created; with a gate it runs already, and waits for a line."""

    container: str
    place: Placement
    gate: Any | None = None

    def open_gate(self, record: Mapping[str, Any]) -> None:
        """`record` is the engine's of a moment ago. Raises one of GONE when nobody waits there."""
        assert self.gate is not None
        try:
            if not record["State"]["Running"]:
                raise requests.exceptions.ConnectionError("it was ended while it waited")
            # Over a unix socket docker-py gives a SocketIO around the socket that can send.
            getattr(self.gate, "_sock", self.gate).sendall(b"go\n")
        except OSError as error:
            # Its other end is the engine, which went away.
            raise requests.exceptions.ConnectionError(error) from error
        finally:
            self.gate.close()


class DockerBackend:
    """Fulfils `base.Backend`. `home` is the emulator's folder: what is below it the engine shows to
    runs, where it can see it."""

    name = "docker"

    def __init__(
        self,
        engine: Engine,
        home: Path,
        images: ImageTable | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._engine = engine
        self._home = home.absolute()
        me = own_container(engine)
        self._me = me
        place = place_of(self._home, me)
        self._owner = hashlib.sha256(place.encode()).hexdigest()[:12]
        self._near = neighbourhood(engine, me)
        self._equipment = Equipment(
            engine,
            images or ImageTable.builtin(),
            policy or Policy(),
            self._owner,
            is_elsewhere=engine.is_remote or me is not None,
        )
        self._networks = JobNetworks(engine, self._owner, self._near.me)
        self._lock = threading.Lock()
        self._sight_lock = threading.Lock()
        self._seen: Sight | None = None
        self._raises_limits = True
        self._seen_programs: set[tuple[str, str]] = set()
        self._runs: dict[str, DockerRun] = {}
        self._ahead: dict[str, Future[_Begun]] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="docker-ahead")

    # --- images -----------------------------------------------------------------------------------

    def check(self, image: str) -> None:
        self._equipment.check(image)

    def prepare(self, image: str, tell: Tell, instance_type: str = "") -> None:
        self._equipment.prepare(image, instance_type, tell)

    def unbuilt(self, image: str, instance_type: str = "") -> tuple[str, str] | None:
        """As `Equipment.unbuilt`: what `prepare` would build from nothing."""
        return self._equipment.unbuilt(image, instance_type)

    def _image(self, spec: RunSpec) -> LocalImage:
        """Raises ImageNotFound and RunFailedToStart."""
        found = self._equipment.image(spec.image, spec.instance_type)
        if found is None:
            log.info("The image for %s was not prepared: it is built now", spec.image)
            self._equipment.prepare(spec.image, spec.instance_type, log.info)
            found = self._equipment.image(spec.image, spec.instance_type)
        assert found is not None
        return found

    # --- starting ---------------------------------------------------------------------------------

    def guard(self, image: str, instance_type: str = "") -> Guard:
        """A container's root writes into files of any mode."""
        found = self._equipment.image(image, instance_type)
        if found is None:
            is_ours = True  # it will be built before the run
        else:
            is_ours = found.is_ours
            if isinstance(self._sight(found.id), NoSight):
                return "mode"  # it is a copy that the run will see
        if is_ours and os.geteuid() != 0 and not self._engine.facts.is_rootless:
            return "mode"
        return "mount" if found is not None and self._sight(found.id).shows_files else "nothing"

    def ahead(self, spec: RunSpec) -> None:
        """The container starts, network and all, and waits at a gate (`translation.GATE`); if its
        image is one of ours, and there. What is wrong with it `start` will say."""
        with suppress(RunFailedToStart, ImageNotFound, DockerException, *GONE):
            image = self._equipment.image(spec.image, spec.instance_type)
            if image is None or not image.is_ours or spec.entrypoint:
                return
            if not self._equipment.is_ready(spec.image, spec.instance_type):
                return
            with self._lock:
                self._ahead[spec.name] = self._pool.submit(self._begin, spec, True)

    def abandon(self, name: str) -> None:
        with self._lock:
            future = self._ahead.pop(name, None)
        if future is not None:
            with suppress(Exception):
                begun = future.result()
                self._undo(begun.container, begun.place.network, name)

    def start(self, spec: RunSpec) -> Run:
        with self._lock:
            future = self._ahead.pop(spec.name, None)
        if future is not None:
            begun = future.result()
            try:
                return self._go_on(spec, begun)
            except GONE as error:
                log.info("%s is started once more: the engine went away (%s)", spec.name, error)
        try:
            return self._engine.patiently(lambda: self._go_on(spec, self._begin(spec, False)))
        except GONE as error:
            raise RunFailedToStart(
                f"The Docker engine went away, and is not back: {explanation(error)}."
            ) from error

    def _go_on(self, spec: RunSpec, begun: _Begun) -> Run:
        """From a container to a run. Raises RunFailedToStart, or one of GONE, with nothing left."""
        try:
            witness = self._engine.witness()
            if begun.place.copied:
                copy_in(self._engine, begun.container, begun.place.copied, begun.place.user)
            if begun.gate is None:
                self._engine.client.api.start(begun.container)
            record = self._engine.client.api.inspect_container(begun.container)
            if begun.gate is not None:
                begun.open_gate(record)
        except BaseException as error:
            self._undo(begun.container, begun.place.network, spec.name)
            if begun.place.raises_limits and self._may_not_raise_limits(error):
                return self.start(spec)
            raise_refusal(error, spec, begun.place.image)
            raise
        return self._run(record, witness)

    def _begin(self, spec: RunSpec, has_gate: bool) -> _Begun:
        """Create the container, and with a gate start it. Raises RunFailedToStart, ImageNotFound,
        or one of GONE, with nothing left."""
        image = self._image(spec)
        client = self._engine.client
        gpus = self._equipment.take_gpus(spec, image)
        network: JobNetwork | None = None
        container, asked_for_limits = "", self._raises_limits
        try:
            network = self._networks.join(spec)
            place = self._place(spec, image, network, gpus, has_gate)
            container = str(client.containers.create(**create_options(spec, place)).id)
            if not has_gate:
                self._look_at_program(container, image, spec)
                return _Begun(container, place)
            gate = client.api.attach_socket(container, params={"stdin": 1, "stream": 1})
            client.api.start(container)
            return _Begun(container, place, gate)
        except BaseException as error:
            self._undo(container, network, spec.name)
            if asked_for_limits and self._may_not_raise_limits(error):
                return self._begin(spec, has_gate)
            raise_refusal(error, spec, image)
            raise

    def _undo(self, container: str, network: JobNetwork | None, name: str) -> None:
        if container:
            self._remove(container)
        self._leave(network.name if network is not None else None, name)
        self._equipment.give_back(name)

    def _look_at_program(self, container: str, image: LocalImage, spec: RunSpec) -> None:
        """What the kernel would refuse (`programs`), once for an image and a program."""
        command = spec.entrypoint or image.entrypoint or spec.arguments or spec.command
        is_below_a_mount = any(
            command[0].startswith(f"{mount.inside.rstrip('/')}/") for mount in spec.mounts
        )
        key = (image.id, command[0])
        if (
            is_below_a_mount
            or key in self._seen_programs
            or (image.is_ours and not spec.entrypoint)
        ):
            return
        check_program(self._engine, container, image, command)
        self._seen_programs.add(key)

    def _may_not_raise_limits(self, error: BaseException) -> bool:
        """An engine without the right to raise limits (in a container, rootless) refuses a start
        that asks for more open files than it has itself: then runs get what the engine has."""
        if "rlimit" not in str(error):
            return False
        log.info("This engine may not raise limits: runs have its own (ulimit -n, -l)")
        self._raises_limits = False
        return True

    def _place(
        self,
        spec: RunSpec,
        image: LocalImage,
        network: JobNetwork | None,
        gpus: Gpus,
        has_gate: bool,
    ) -> Placement:
        user, owner = self._user(image)
        mounts = list(spec.mounts)
        if user not in (None, _ROOT) and image.is_ours:
            mounts.append(Mount(_passwd(spec.workdir, user), "/etc/passwd", True))
        sight = self._sight(image.id)
        if gpus.uuids and image.is_ours and not isinstance(sight, NoSight):
            mounts.append(self._compiled_kernels())
        shown, copied = [], []
        for mount in mounts:
            found = sight.show(mount)
            if found is not None:
                shown.append(found)
            elif mount.outside.is_dir():
                shown.append(_empty_volume(mount))
                copied.append((str(mount.outside), mount.inside, mount.read_only))
        return Placement(
            image=image,
            home=self._owner,
            near=self._near,
            sizes=self._equipment.sizes(spec),
            gpus=gpus.uuids,
            devices=gpus.requests,
            env=gpus.env,
            mounts=tuple(shown),
            copied=tuple(copied),
            network=network,
            user=user,
            owner=owner,
            has_gate=has_gate,
            raises_limits=self._raises_limits,
        )

    def _compiled_kernels(self) -> Mount:
        """What CUDA compiles at run time, kept over containers: minutes on a new card, once."""
        folder = self._home / "cuda-cache"
        folder.mkdir(exist_ok=True)
        return Mount(folder, _CUDA_CACHE)

    def _user(self, image: LocalImage) -> tuple[str | None, str | None]:
        """(whom the run is, whom its files are given to). Of a rootless engine the containers' root
        is its user; as root ourselves, root's files are ours."""
        uid, gid = os.geteuid(), os.getegid()
        if uid == 0 or self._engine.facts.is_rootless:
            return (_ROOT if image.is_ours else None), None
        return (f"{uid}:{gid}", None) if image.is_ours else (None, f"{uid}:{gid}")

    def _sight(self, image: str) -> Sight:
        with self._sight_lock:
            if self._seen is None:
                self._seen = look(self._engine, self._me, self._home, image)
                log.debug("The engine sees our folders: %s", type(self._seen).__name__)
            return self._seen

    # --- finding and ending -----------------------------------------------------------------------

    def find(self, run_id: str) -> Run | None:
        if not run_id.startswith(PREFIX):
            return None
        with self._lock:
            if run_id in self._runs:
                return self._runs[run_id]
        try:
            inspect = self._engine.client.api.inspect_container
            witness = self._engine.patiently(self._engine.witness)
            record = self._engine.patiently(lambda: inspect(run_id.removeprefix(PREFIX)))
        except NotFound:
            return None
        told = record["Config"].get("Labels") or {}
        if told.get(labels.HOME) != self._owner or record["State"]["Status"] == "created":
            return None
        if labels.NETWORK in told:
            self._networks.hold(told[labels.NETWORK], told[labels.RUN])
        self._equipment.hold_gpus(record)
        return self._run(record, witness)

    def clean(self, keep: frozenset[str]) -> None:
        with self._lock:
            waiting = list(self._ahead)
        for name in waiting:
            self.abandon(name)
        found = self._engine.client.api.containers(
            all=True, filters={"label": f"{labels.HOME}={self._owner}"}
        )
        unwanted = [box for box in found if PREFIX + box["Id"] not in keep]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._end, unwanted))
        self._networks.clean()

    def _end(self, box: Mapping[str, Any]) -> None:
        """`box` is a container as a list of the engine's tells of it."""
        with self._lock:
            run = self._runs.get(PREFIX + box["Id"])
        if run is not None:
            run.close()
            return
        self._remove(box["Id"])
        told = box.get("Labels") or {}
        if labels.OWNER in told and labels.WORKDIR in told:
            self._give_files(told, box["ImageID"])

    def describe(self) -> str:
        return f"user code runs in containers of {self._engine.facts}"

    def host_address(self) -> str:
        return self._near.emulator

    def neighbours(self) -> tuple[str, ...]:
        return self._near.neighbours

    def gpu_count(self) -> int:
        return self._equipment.count()

    def _run(self, record: Any, witness: Witness) -> DockerRun:
        run = DockerRun(self._engine, record, witness, self._near, self._settle, self._forget)
        with self._lock:
            return self._runs.setdefault(run.id, run)

    def _forget(self, run: DockerRun) -> None:
        self._leave(run.network, run.name)
        self._equipment.give_back(run.name)
        with self._lock:
            self._runs.pop(run.id, None)

    def _leave(self, network: str | None, name: str) -> None:
        if network is not None:
            self._networks.leave(network, name)

    def _remove(self, container: str) -> None:
        remove = self._engine.client.api.remove_container
        try:
            self._engine.patiently(lambda: remove(container, v=True, force=True))
        except NotFound:
            return
        except (APIError, *GONE) as error:
            log.warning("The container %s stays: %s", container[:12], explanation(error))

    # --- a run's files ----------------------------------------------------------------------------

    def _settle(self, run: DockerRun) -> None:
        """Before anybody hears that a run has ended: its files are here, and ours."""
        if run.copied:
            copy_out(self._engine, run)
        if labels.OWNER in run.labels:
            self._give_files(run.labels, run.image)

    def _give_files(self, told: Mapping[str, str], run_image: str) -> None:
        """What a run of these labels wrote as root, to whom they name: by a container, for only
        root can; also after a `kill -9` of ours this finds its work."""
        owner, folder = told[labels.OWNER], Path(told[labels.WORKDIR])
        if not has_foreign_files([folder]):
            return
        shown = self._sight(run_image).show(Mount(folder, _CHOWN_PLACE))
        if shown is None:
            return
        for image in (run_image, *self._images_of_ours()):
            try:
                self._engine.patiently(partial(self._chown, image, owner, shown))
                return
            except (DockerException, *GONE) as error:
                log.debug("%s has no chown: %s", image, error)
        log.warning(
            "%s belongs in part to root, for the image of %s runs as root and no image here has "
            "`chown`. Give it back with: sudo chown -R %s %s",
            *(folder, told.get(labels.RUN), owner, folder),
        )

    def _chown(self, image: str, owner: str, shown: docker.types.Mount) -> None:
        self._engine.client.containers.run(
            image,
            ["-R", owner, _CHOWN_PLACE],
            entrypoint=["chown"],
            user="0:0",
            network_mode="none",
            mounts=[shown],
            labels={labels.HOME: self._owner},
            remove=True,
        )

    def _images_of_ours(self) -> list[str]:
        found = self._engine.client.api.images(filters={"label": labels.FAMILY})
        return [image["Id"] for image in found]


def connected(home: Path, images: ImageTable, **policy: Any) -> DockerBackend:
    """The backend on the engine that Docker's own command uses; `policy` are Policy's fields.
    Raises EngineUnavailable."""
    return DockerBackend(Engine.connect(), home, images, Policy(**policy))


def _empty_volume(mount: Mount) -> Any:
    """A volume that goes with the container."""
    return docker.types.Mount(mount.inside, None, type="volume")


def _passwd(workdir: Path, user: str) -> Path:
    """A passwd file in which the run finds its own user: Python's getpass, and much else, asks."""
    uid, gid = user.split(":")
    path = workdir / _PASSWD
    path.write_text(
        f"root:x:0:0:root:/root:/bin/sh\nsagedock:x:{uid}:{gid}:sagedock:/tmp:/bin/sh\n",
        encoding="ascii",
    )
    path.chmod(0o644)
    return path
