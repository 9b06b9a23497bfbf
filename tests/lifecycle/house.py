"""Lifecycles over real stores and a backend that tests play by hand."""

from __future__ import annotations

import dataclasses
import io
import tarfile
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from requests_as_sdks_send import LEGACY_IMAGE, channel, wait_for
from sagedock.domain.hosting import Endpoint
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.domain.routes import EndpointRoute, Routes
from sagedock.domain.states import DELETING, UPDATING
from sagedock.domain.training import TrainingJob
from sagedock.lifecycle.changes import Changes
from sagedock.lifecycle.fleet import HostingRooms
from sagedock.lifecycle.hosting import HostingLifecycle
from sagedock.lifecycle.run_environment import RunEnvironment
from sagedock.lifecycle.supervisor import Supervisor
from sagedock.lifecycle.training import TrainingLifecycle
from sagedock.lifecycle.training_run import LOG_GROUP, TrainingRooms
from sagedock.store.database import Database
from sagedock.store.log_events import Between, Chosen, LogEvents
from sagedock.store.metrics import Metrics
from sagedock.store.objects import Objects
from sagedock.store.resources import NotFound, Resources
from sagedock.store.runs import Runs
from sagedock.store.schema import MIGRATIONS
from scripted import ScriptedBackend

BUCKET = "data"
ARN = "arn:aws:sagemaker:us-east-1:000000000000:"


class House:
    """The rooms of one home. `restart` is what a killed emulator's successor sees: the same disk
    and the same runs, with none of the threads' knowledge."""

    def __init__(self, folder: Path, backend: ScriptedBackend | None = None) -> None:
        self.folder = folder
        self.backend = backend or ScriptedBackend()
        self.database = Database(folder / "sagedock.db", MIGRATIONS)
        self.objects = Objects.at(folder)
        if backend is None:
            self.objects.create_bucket(BUCKET)
        self.jobs = Resources(self.database, TrainingJob)
        self.models = Resources(self.database, Model)
        self.configs = Resources(self.database, EndpointConfig)
        self.endpoints = Resources(self.database, Endpoint)
        self.runs, self.events = Runs(self.database), LogEvents(self.database)
        self.metrics = Metrics(self.database)
        self.changes, self.routes, self.supervisor = Changes(), Routes(), Supervisor()
        environment = RunEnvironment(lambda: "http://127.0.0.1:1", "us-east-1")
        training_rooms = TrainingRooms(
            jobs=self.jobs,
            runs=self.runs,
            events=self.events,
            metrics=self.metrics,
            objects=self.objects,
            backend=self.backend,
            changes=self.changes,
            environment=environment,
            folder=folder / "jobs",
            grace_seconds=5,
            closing=self.supervisor.closing,
        )
        self.hosting_rooms = HostingRooms(
            models=self.models,
            configs=self.configs,
            endpoints=self.endpoints,
            runs=self.runs,
            events=self.events,
            objects=self.objects,
            backend=self.backend,
            environment=environment,
            folder=folder / "endpoints",
            startup_seconds=10,
            grace_seconds=5,
        )
        self.training = TrainingLifecycle(training_rooms, self.supervisor)
        self.hosting = self.hosting_with()

    def hosting_with(self, **rooms: Any) -> HostingLifecycle:
        changed = dataclasses.replace(self.hosting_rooms, **rooms)
        return HostingLifecycle(changed, self.routes, self.changes, self.supervisor)

    def close(self) -> None:
        """As the emulator's end: everything stops, the records stay."""
        self.training.stop_all(0)
        self.hosting.stop_all(0)
        assert self.supervisor.join(20) == []
        self.backend.clean(frozenset())
        self.objects.close()
        self.database.close()

    def left(self) -> House:
        """The emulator was ended with its runs kept; its successor, which has not looked yet."""
        self.supervisor.closing.set()
        self.hosting.leave_all()
        assert self.supervisor.join(20) == []
        self.objects.close()
        self.database.close()
        return House(self.folder, self.backend)

    def adopt(self) -> None:
        """What an emulator does at its start."""
        jobs = [job for job in self.jobs.find() if not job.has_ended]
        endpoints = self.endpoints.find()
        self.backend.clean(self.runs.keep({resource.arn for resource in (*jobs, *endpoints)}))
        self.training.sweep(jobs)
        self.hosting.announce(endpoints)
        self.training.adopt(jobs)
        self.hosting.adopt(endpoints)

    # --- objects and logs ---------------------------------------------------------------------

    def put(self, key: str, content: bytes = b"x") -> str:
        self.objects.put_bytes(BUCKET, key, content)
        return f"s3://{BUCKET}/{key}"

    def archive(self, uri: str) -> dict[str, bytes]:
        """Member → content of a .tar.gz object."""
        bucket, _, key = uri[len("s3://") :].partition("/")
        with (
            self.objects.open(bucket, key) as file,
            tarfile.open(fileobj=io.BytesIO(file.read())) as tar,
        ):
            files = [member for member in tar if member.isfile()]
            return {member.name: _content(tar, member) for member in files}

    def log(self, prefix: str, group: str = LOG_GROUP) -> list[str]:
        return [e.message for e in self.events.events(group, Chosen(None, prefix), Between())]

    # --- training -----------------------------------------------------------------------------

    def train(self, name: str = "job", **more: Any) -> TrainingJob:
        """Store a job as the API does, and start it."""
        self.put("in/a.txt")
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": LEGACY_IMAGE, "TrainingInputMode": "File"},
            "InputDataConfig": [channel(f"s3://{BUCKET}/in/")],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **more,
        }
        job = TrainingJob.requested(name, f"{ARN}training-job/{name}", request, now())
        stored = self.jobs.add(job)
        self.training.start(stored)
        return stored

    def ended(self, name: str = "job") -> TrainingJob:
        """The job once it has ended and its thread with it."""
        job = wait_for(lambda: self.jobs.get(name), lambda job: bool(job.has_ended))
        assert self.supervisor.join(20) == [] or self.endpoints.find()
        found: TrainingJob = job
        return found

    def reaches(self, status: str, name: str = "job") -> None:
        wait_for(lambda: self.jobs.get(name).secondary_status, lambda now: bool(now == status))

    # --- hosting ------------------------------------------------------------------------------

    def config(self, name: str, *variants: Mapping[str, Any], model: str = "model") -> None:
        """A configuration of these variants (one, of one server, when none is given)."""
        try:
            self.models.get(model)
        except NotFound:
            self.model(model)
        given = variants or ({},)
        production = [
            {"VariantName": f"v{number}", "ModelName": model, **variant}
            for number, variant in enumerate(given)
        ]
        request = {"EndpointConfigName": name, "ProductionVariants": production}
        arn = f"{ARN}endpoint-config/{name}"
        self.configs.add(
            EndpointConfig(name=name, arn=arn, created=now(), modified=now(), request=request)
        )

    def model(self, name: str, **container: Any) -> None:
        request = {"PrimaryContainer": {"Image": LEGACY_IMAGE, **container}}
        arn = f"{ARN}model/{name}"
        self.models.add(Model(name=name, arn=arn, created=now(), modified=now(), request=request))

    def deploy(self, name: str = "dock", config: str = "one") -> None:
        """Store an endpoint as the API does, and bring it up."""
        try:
            self.configs.get(config)
        except NotFound:
            self.config(config)
        endpoint = Endpoint(
            name=name,
            arn=f"{ARN}endpoint/{name}",
            created=now(),
            modified=now(),
            request={},
            config_name=config,
        )
        self.hosting.create(self.endpoints.add(endpoint))

    def updates(self, config: str | None = None, name: str = "dock") -> Endpoint:
        """As the API saves it before the lifecycle hears of it."""
        moved = self.endpoints.get(name).moved_to(UPDATING, now())
        return self.endpoints.save(dataclasses.replace(moved, next_config_name=config))

    def deletes(self, name: str = "dock") -> None:
        moved = self.endpoints.get(name).moved_to(DELETING, now())
        self.hosting.delete(self.endpoints.save(moved))

    def is_gone(self, name: str = "dock") -> bool:
        try:
            self.endpoints.get(name)
        except NotFound:
            return True
        return False

    def settled(self, *statuses: str, name: str = "dock") -> Endpoint:
        """The endpoint once it and its route are in one of `statuses`."""
        wanted = statuses or ("InService",)

        def look() -> tuple[str, str]:
            return self.endpoints.get(name).status, self.route(name).status

        wait_for(look, lambda seen: bool(seen[0] == seen[1] and seen[0] in wanted))
        return self.endpoints.get(name)

    def route(self, name: str = "dock") -> EndpointRoute:
        found = self.routes.get(name)
        return found or EndpointRoute(name, "", "no route", "")

    def servers(self, name: str = "dock") -> list[int]:
        """How many servers each routed variant has."""
        return [len(variant.servers) for variant in self.route(name).variants]

    def ports(self, name: str = "dock") -> list[int]:
        """Where the routed servers listen."""
        variants = self.route(name).variants
        return [server.port for variant in variants for server in variant.servers]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()


def now() -> datetime:
    return datetime.now(timezone.utc)


def pause() -> None:
    """Long enough for a thread that has nothing to wait for."""
    time.sleep(0.05)
