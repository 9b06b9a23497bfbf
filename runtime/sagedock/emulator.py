"""The only place where concrete parts meet.

with sagedock.Emulator() as dock:
    boto3.client("sagemaker", **dock.client_kwargs)
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from sagedock import __version__
from sagedock.backends.auto import Wishes, choose_backend
from sagedock.backends.base import Backend
from sagedock.client_environment import (
    FAKE_KEY,
    FAKE_SECRET,
    portable_script,
    write_sdk_config,
)
from sagedock.domain.hosting import Endpoint
from sagedock.domain.images import ImageTable
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.domain.routes import Routes
from sagedock.domain.training import TrainingJob
from sagedock.errors import StartupError
from sagedock.home import Home
from sagedock.lifecycle.changes import Changes
from sagedock.lifecycle.fleet import HostingRooms
from sagedock.lifecycle.hosting import HostingLifecycle
from sagedock.lifecycle.run_environment import RunEnvironment
from sagedock.lifecycle.supervisor import Supervisor
from sagedock.lifecycle.training import TrainingLifecycle
from sagedock.lifecycle.training_run import TrainingRooms
from sagedock.server.app import Parts, create_app
from sagedock.server.certificates import Authority
from sagedock.server.client_pages import client_router
from sagedock.server.connect_proxy import ConnectProxy
from sagedock.server.fast_lane import FastLane
from sagedock.server.gateway import Gateway, Identity
from sagedock.server.health import Info, health_router
from sagedock.server.limits import InvocationLimits
from sagedock.server.neighbours import Neighbours
from sagedock.server.object_bodies import ObjectBodies
from sagedock.server.origins import Door, Fence, is_loopback
from sagedock.server.protocol import Lanes
from sagedock.server.running import Server
from sagedock.services.cloudwatch import CloudWatchOperations
from sagedock.services.identity import IamOperations, Role, StsOperations
from sagedock.services.logs import LogOperations
from sagedock.services.operation import Operation, dispatch_table, operation_names
from sagedock.services.s3 import S3, S3_GROUPS
from sagedock.services.sagemaker.endpoint_configs import EndpointConfigOperations
from sagedock.services.sagemaker.endpoints import EndpointOperations, HostingResources
from sagedock.services.sagemaker.models import ModelOperations
from sagedock.services.sagemaker.search import SearchOperations
from sagedock.services.sagemaker.tags import TagOperations
from sagedock.services.sagemaker.training import TrainingOperations
from sagedock.settings import Settings
from sagedock.store.database import Database
from sagedock.store.log_events import LogEvents
from sagedock.store.metrics import Metrics
from sagedock.store.objects import Objects
from sagedock.store.resources import Resources, Tags
from sagedock.store.runs import Runs
from sagedock.store.schema import MIGRATIONS

log = logging.getLogger("sagedock")

SHUTDOWN_GRACE_SECONDS = 10.0
"""SIGTERM to SIGKILL for runs when the emulator itself ends: the person at the keyboard waits."""

KEEPING_SECONDS = 20.0
"""With `keep_jobs`: for a step that is under way (staging, an upload) to come to its end."""


class Emulator:
    """SageMaker on this machine. Use it as a context manager, or `start` and `stop` it.

    Without `settings` they are read from SAGEDOCK_* variables; keyword arguments win over them
    (`Emulator(home=…, port=…)`). Unless they are named, the port is a free one and the home a
    temporary folder that is deleted at the end; framework environments are those of `sagedock
    serve`, since they take long to build and hold nothing of a job's.
    """

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if settings is None:
            overrides.setdefault("port", 0)
            settings = Settings.read(**overrides)
            if overrides.get("home") is None and not os.environ.get("SAGEDOCK_HOME"):
                self._temporary = tempfile.TemporaryDirectory(prefix="sagedock-")
                settings = settings.model_copy(update={"home": Path(self._temporary.name)})
        elif overrides:
            raise TypeError("give either Settings or keyword arguments")
        self.settings = settings
        self.home = Home(settings.home)
        self._server: Server | None = None
        self._store: _Store | None = None
        self._work: _Work | None = None
        self._is_ready = False

    # --- what a user of the library sees ------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """What goes into AWS_ENDPOINT_URL."""
        if self._server is None:
            raise StartupError("the emulator is not running.")
        return self._server.url

    @property
    def client_kwargs(self) -> dict[str, str]:
        """For boto3.client(service, **dock.client_kwargs)."""
        return {
            "endpoint_url": self.url,
            "region_name": self.settings.region,
            "aws_access_key_id": FAKE_KEY,
            "aws_secret_access_key": FAKE_SECRET,
        }

    @property
    def backend_name(self) -> str:
        """Where user code runs: "process" or "docker"."""
        return self._running().backend.name

    @property
    def backend_sentence(self) -> str:
        """What the backend means for the user, in half a sentence."""
        return self._running().backend.describe()

    def start(self) -> None:
        """Listen, and take up what an earlier emulator left. Raises StartupError."""
        self.home.open()
        try:
            self._store = _Store(self.home, self.settings)
            self._work = _Work(self._store, self.home, self.settings, self._url_for_runs)
            self._work.look_around()
            self._server = self._listen()
            self._server.start()
        except BaseException:
            self._close()
            raise
        write_sdk_config(self.home.folder)
        self.home.announce(self._server.url)
        self._work.adopt()
        self._is_ready = True

    def serve(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Run in the foreground until SIGINT or SIGTERM; a second one does not wait for the runs'
        grace."""
        asked = threading.Event()
        before = {
            number: signal.signal(number, lambda *_: asked.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            self.start()
            on_ready()
            asked.wait()
            work = self._running()
            for number in before:
                signal.signal(number, lambda *_: _aside(work.hurry))
            self.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Stop jobs and model servers (unless settings.keep_jobs), then the server."""
        self._is_ready = False
        if self._server is None:
            return
        self._running().stop(self.settings.keep_jobs)
        self._server.stop()
        self._close()

    def _url_for_runs(self) -> str:
        """Our address as user code sees it."""
        address = self._running().backend.host_address()
        if self._server is None or is_loopback(address):
            return self.url
        return f"http://{address}:{self._server.port}"

    def _running(self) -> _Work:
        if self._work is None:
            raise StartupError("the emulator is not running.")
        return self._work

    def _close(self) -> None:
        self._server = None
        if self._store is not None:
            self._store.close()
            self._store = None
        self.home.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _listen(self) -> Server:
        """The HTTP face, from the wire down to the services."""
        settings, store, work = self.settings, self._store, self._work
        assert store is not None
        assert work is not None
        doors = _doors(settings.host, work.backend)
        fence = Fence(settings.host, doors, published_locally=settings.published_locally)
        neighbours = Neighbours.of_this_container() if settings.published_locally else Neighbours()
        authority = Authority(self.home.tls)
        authority.bundle()
        s3 = S3(store.objects)
        gateway = Gateway(
            _operations(store, work),
            Identity(settings.account, settings.region),
            work.changes,
            settings.hold_seconds,
        )
        info = Info(
            __version__, str(settings.home), settings.region, settings.account, work.backend.name
        )
        parts = Parts(
            gateway=gateway,
            objects=ObjectBodies(s3),
            fence=fence,
            routers=(
                health_router(info, lambda: self._is_ready),
                client_router(
                    authority.ca_path,
                    lambda url: portable_script(
                        url, settings.region, authority.ca_path.read_text(encoding="ascii")
                    ),
                ),
            ),
        )
        limits = InvocationLimits(settings.limits, settings.model_server_seconds)
        lanes = Lanes(
            FastLane(work.routes, settings.account, limits, fence, _log_address),
            ConnectProxy(authority, os.environ, neighbours),
            fence,
        )
        return Server(
            create_app(parts),
            settings.host,
            settings.port,
            lanes,
            before_stop=(gateway.release,),
            doors=doors,
        )


def _doors(host: str, backend: Backend) -> tuple[Door, ...]:
    """Where runs knock, unless we listen there already."""
    address, neighbours = backend.host_address(), backend.neighbours()
    if not neighbours or host in ("0.0.0.0", "::", address):
        return ()
    return (Door(address, neighbours),)


def _aside(work: Callable[[], None]) -> None:
    """From a signal handler: the thread that it interrupts may hold the lock that `work` needs."""
    threading.Thread(target=work, name="hurry", daemon=True).start()


class _Store:
    """What survives."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.database = Database(home.database, MIGRATIONS)
        self.objects = Objects.at(home.folder)
        self.events = LogEvents(self.database)
        self.metrics = Metrics(self.database)
        self.runs = Runs(self.database)
        self.tags = Tags(self.database)
        self.jobs = Resources(self.database, TrainingJob)
        self.models = Resources(self.database, Model)
        self.configs = Resources(self.database, EndpointConfig)
        self.endpoints = Resources(self.database, Endpoint)
        self.roles = Resources(self.database, Role)

    def close(self) -> None:
        self.objects.close()
        self.database.close()


class _Work:
    """What runs."""

    def __init__(
        self, store: _Store, home: Home, settings: Settings, url: Callable[[], str]
    ) -> None:
        assert settings.frameworks is not None
        self._store = store
        self.changes, self.routes, self.supervisor = Changes(), Routes(), Supervisor()
        wishes = Wishes(
            home=home.folder,
            frameworks=settings.frameworks,
            images=ImageTable.read(home.images),
            backend=settings.backend,
            gpu=settings.gpu,
            gpu_sharing=settings.gpu_sharing,
            instance_size=settings.instance_size,
            base_image=settings.base_image,
        )
        self.backend = choose_backend(wishes)
        environment = RunEnvironment(url, settings.region)
        training_rooms = TrainingRooms(
            jobs=store.jobs,
            runs=store.runs,
            events=store.events,
            metrics=store.metrics,
            objects=store.objects,
            backend=self.backend,
            changes=self.changes,
            environment=environment,
            folder=home.jobs,
            grace_seconds=settings.training_grace_seconds,
            closing=self.supervisor.closing,
        )
        hosting_rooms = HostingRooms(
            models=store.models,
            configs=store.configs,
            endpoints=store.endpoints,
            runs=store.runs,
            events=store.events,
            objects=store.objects,
            backend=self.backend,
            environment=environment,
            folder=home.endpoints,
            startup_seconds=settings.startup_seconds,
            grace_seconds=settings.hosting_grace_seconds,
        )
        self.training = TrainingLifecycle(training_rooms, self.supervisor)
        self.hosting = HostingLifecycle(hosting_rooms, self.routes, self.changes, self.supervisor)
        self._hurry = threading.Event()
        self._jobs: list[TrainingJob] = []
        self._endpoints: list[Endpoint] = []

    def look_around(self) -> None:
        """What an earlier emulator left: end what belongs to nothing any more, note the rest.
        Before the first request, so that what it creates is not taken for left over."""
        self._jobs = [job for job in self._store.jobs.find() if not job.has_ended]
        self._endpoints = self._store.endpoints.find()
        going_on = {resource.arn for resource in (*self._jobs, *self._endpoints)}
        self.backend.clean(self._store.runs.keep(going_on))
        self.training.sweep(self._jobs)
        self.hosting.announce(self._endpoints)

    def adopt(self) -> None:
        """Take up what `look_around` noted."""
        self.training.adopt(self._jobs)
        self.hosting.adopt(self._endpoints)

    def stop(self, keep_jobs: bool) -> None:
        if keep_jobs:
            self.supervisor.closing.set()
            self.hosting.leave_all()
            self._join(KEEPING_SECONDS)
            return
        grace = 0.0 if self._hurry.is_set() else SHUTDOWN_GRACE_SECONDS
        self.training.stop_all(grace)
        self.hosting.stop_all(grace)
        self._join(grace + 20)
        self.supervisor.closing.set()
        self.backend.clean(frozenset())

    def _join(self, seconds: float) -> None:
        late = self.supervisor.join(seconds)
        if late:
            log.warning("Still busy at the end, and left to the next start: %s", ", ".join(late))

    def hurry(self) -> None:
        """The person at the keyboard is tired of waiting."""
        self._hurry.set()
        self.backend.clean(frozenset())


def _operations(store: _Store, work: _Work) -> dict[tuple[str, str], Operation]:
    """Every operation there is, S3's apart."""
    resources = HostingResources(store.models, store.configs, store.endpoints)
    return dispatch_table(
        TrainingOperations(store.jobs, work.training, store.objects),
        ModelOperations(store.models, store.objects),
        EndpointConfigOperations(store.configs, store.models),
        EndpointOperations(resources, work.hosting, work.changes),
        TagOperations(store.tags),
        SearchOperations(store.jobs, store.endpoints, store.tags),
        LogOperations(store.events),
        StsOperations(),
        IamOperations(store.roles),
        CloudWatchOperations(store.metrics),
    )


GROUPS = (
    TrainingOperations,
    ModelOperations,
    EndpointConfigOperations,
    EndpointOperations,
    TagOperations,
    SearchOperations,
    LogOperations,
    StsOperations,
    IamOperations,
    CloudWatchOperations,
    *S3_GROUPS,
)


def emulated_operations() -> dict[str, list[str]]:
    """Service → names of the operations that sagedock emulates, sorted."""
    found: dict[str, list[str]] = {"sagemaker-runtime": ["InvokeEndpoint"]}
    for group in GROUPS:
        found.setdefault(group.service, []).extend(operation_names(group))
    return {service: sorted(names) for service, names in sorted(found.items())}


def _log_address(group: str, stream: str) -> str:
    """Where a person reads an endpoint's log."""
    return f"`sagedock logs {group.rpartition('/')[2]}`"
