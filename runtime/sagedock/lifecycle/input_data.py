"""A job's input on its way from S3 to the folders of its hosts, with no copy where that is safe.

In two steps, since a container can start meanwhile but has to know its mounts: `mounts` finds the
large objects that a run is to see by a mount of their own, `stage` puts the rest in its place.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from sagedock.backends.base import Guard, Mount
from sagedock.domain.training import TrainingJob
from sagedock.errors import ServiceError
from sagedock.lifecycle.channels import DataDownloadFailed, Delivery, deliveries, downloading
from sagedock.lifecycle.object_store import ObjectStore, Staging, split_uri
from sagedock.lifecycle.workdir import Workdir

LARGE = 16 * 1024**2
"""Bytes from which a mount is worth it: a mount costs the engine about a millisecond, and so does
a copy of that size."""

_MOST_MOUNTS = 64


class InputData:
    """The channels and checkpoints of one job."""

    def __init__(
        self,
        job: TrainingJob,
        workdirs: Mapping[str, Workdir],
        objects: ObjectStore,
        guard: Guard,
    ) -> None:
        self._job, self._workdirs, self._objects = job, workdirs, objects
        self._staging = Staging(objects, guard == "mode")
        self._by_mount = guard == "mount"
        self._rest: dict[str, list[Delivery]] = {}

    def mounts(self) -> dict[str, tuple[Mount, ...]]:
        """Host → mounts of single files, at which there is an empty file meanwhile. Raises
        DataDownloadFailed."""
        found: dict[str, list[Mount]] = {host: [] for host in self._workdirs}
        numbers = itertools.count(1)
        for channel in self._job.channels:
            rest = self._rest[channel.name] = []
            for workdir in self._workdirs.values():
                (workdir.data / channel.name).mkdir(parents=True, exist_ok=True)
            with downloading(channel):
                for delivery in deliveries(channel, self._job.hosts, self._objects):
                    workdir, mounts = self._workdirs[delivery.host], found[delivery.host]
                    mount = None
                    if self._by_mount and len(mounts) < _MOST_MOUNTS:
                        mount = self._mount(delivery, channel.name, workdir, next(numbers))
                    if mount is not None:
                        mounts.append(mount)
                    else:
                        rest.append(delivery)
        return {host: tuple(mounts) for host, mounts in found.items()}

    def stage(self) -> None:
        """What has no mount. Raises DataDownloadFailed."""
        for channel in self._job.channels:
            with downloading(channel):
                for one in self._rest[channel.name]:
                    folder = self._workdirs[one.host].data / channel.name
                    self._staging.put_below(one.bucket, one.key, folder, one.relative)
        self._stage_checkpoints()

    def _mount(
        self, delivery: Delivery, channel: str, workdir: Workdir, number: int
    ) -> Mount | None:
        beside = workdir.root / "objects" / str(number)
        folder = workdir.data / channel
        target = self._staging.link_below(
            delivery.bucket, delivery.key, folder, delivery.relative, beside, LARGE
        )
        if target is None:
            return None
        return Mount(beside, f"/opt/ml/{target.relative_to(workdir.ml).as_posix()}", True)

    def _stage_checkpoints(self) -> None:
        uri = self._job.request.get("CheckpointConfig", {}).get("S3Uri")
        if not uri:
            return
        bucket, prefix = split_uri(uri.rstrip("/") + "/")
        # The script goes on writing to them.
        staging = Staging(self._objects, by_mode=False)
        try:
            for entry in self._objects.list(bucket, prefix):
                if entry.key.endswith("/"):
                    continue
                for workdir in self._workdirs.values():
                    relative = entry.key[len(prefix) :]
                    staging.put_below(bucket, entry.key, workdir.checkpoints, relative)
        except (ServiceError, OSError, ValueError) as error:
            raise DataDownloadFailed(
                f"ClientError: Data download failed: checkpoints, {uri}: {error}"
            ) from error
