"""The model servers behind an endpoint, for one EndpointConfig: built whole or not at all."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagedock.backends.base import Backend, Tell
from sagedock.domain.hosting import Endpoint, VariantState
from sagedock.domain.resource import EndpointConfig, Model
from sagedock.domain.routes import VariantRoute
from sagedock.errors import ImageNotFound, RunFailedToStart, SagedockError
from sagedock.lifecycle.log_pump import EventStore
from sagedock.lifecycle.model_data import ModelDataMissing, stage_model
from sagedock.lifecycle.model_server import (
    ModelServerEnded,
    ModelServerFailed,
    ServedModel,
    ServerPlan,
)
from sagedock.lifecycle.object_store import ObjectStore
from sagedock.lifecycle.run_environment import RunEnvironment
from sagedock.store.resources import NotFound, Resources
from sagedock.store.runs import RunRecord, Runs

log = logging.getLogger("sagedock.hosting")

_ADOPTED_SECONDS = 30.0
"""For the /ping of a server that outlived our restart: it was healthy before, and where the whole
machine has just been started it may be some while until it has its turn."""


class FleetFailed(SagedockError):
    """The text is the endpoint's FailureReason."""


class ServerEnded(FleetFailed):
    """A server ended before it was healthy."""


@dataclass(frozen=True, slots=True)
class HostingRooms:
    """What hosting works with."""

    models: Resources[Model]
    configs: Resources[EndpointConfig]
    endpoints: Resources[Endpoint]
    runs: Runs
    events: EventStore
    objects: ObjectStore
    backend: Backend
    environment: RunEnvironment
    folder: Path
    startup_seconds: float
    grace_seconds: float


class Fleet:
    """Variants of one configuration and their servers."""

    def __init__(
        self,
        endpoint: Endpoint,
        config: EndpointConfig,
        rooms: HostingRooms,
        given_up: threading.Event,
    ) -> None:
        """`given_up` is set by whoever no longer needs the servers that are being waited for."""
        self._endpoint, self._rooms, self._given_up = endpoint, rooms, given_up
        self.config = config
        self.folder = rooms.folder / endpoint.name / f"{config.name}-{secrets.token_hex(4)}"
        self.servers: dict[str, list[ServedModel]] = {v["VariantName"]: [] for v in config.variants}
        self._plans: dict[str, Callable[[], ServerPlan]] = {}
        self._begun: list[ServerPlan] = []

    # --- building -----------------------------------------------------------------------------

    def build(self, counts: Mapping[str, int], tell: Tell) -> None:
        """Start `counts[variant]` servers of each variant and wait until all are healthy.
        Raises FleetFailed, with nothing left running."""
        try:
            for variant in self.config.variants:
                self._plan(variant, tell, begin=counts.get(variant["VariantName"], 0))
            self.scale(counts)
        except BaseException:
            self.stop(0)
            raise
        finally:
            for plan in self._begun:
                self._rooms.backend.abandon(plan.spec().name)
            self._begun.clear()

    def scale(self, counts: Mapping[str, int]) -> list[ServedModel]:
        """Have `counts[variant]` healthy servers of each variant: start what is missing, all
        together. What is too much is returned, for `dismiss`, when no route leads to it any more.
        Raises FleetFailed; what was healthy before stays."""
        started: list[ServedModel] = []
        try:
            for variant, count in counts.items():
                for _ in range(count - len(self.servers[variant])):
                    started.append(self._start(variant))
            with ThreadPoolExecutor(max(1, len(started))) as pool:
                list(pool.map(self._wait_for, started))
        except BaseException:
            for server in started:
                self._stop(server, 0)
            raise
        for server in started:
            self.servers[server.variant].append(server)
        surplus = []
        for variant, count in counts.items():
            surplus += self.servers[variant][count:]
            del self.servers[variant][count:]
        return surplus

    def dismiss(self, servers: Iterable[ServedModel]) -> None:
        """Stop servers that `scale` returned."""
        for server in servers:
            self._stop(server, self._rooms.grace_seconds)

    def adopt(self) -> bool:
        """Take up servers that outlived our restart; False when they are not all there and
        healthy: then none is left."""
        for record in self._rooms.runs.of(self._endpoint.arn):
            self._take_up(record)
        wanted = {v.name: max(1, v.desired_count) for v in self._endpoint.variants}
        there = {name: len(servers) for name, servers in self.servers.items()}
        try:
            if there == wanted:
                for variant in self.config.variants:
                    self._plan(variant, lambda line: None, stage=False)
                for servers in self.servers.values():
                    for server in servers:
                        server.wait_until_healthy(_ADOPTED_SECONDS, self._given_up)
                return True
        except (ModelServerFailed, FleetFailed) as why:
            log.info("%s: its servers are started again: %s", self._endpoint.name, why)
        self.stop(0)
        return False

    def _take_up(self, record: RunRecord) -> None:
        """One server of this configuration; what an unfinished update left is ended."""
        rooms, details = self._rooms, record.details
        run = rooms.backend.find(record.id)
        if run is None or run.wait(0) is not None or run.lost:
            rooms.runs.remove(record.id)
        elif details["config"] != self.config.name or record.host not in self.servers:
            run.stop(0)
            run.close()
            rooms.runs.remove(record.id)
        else:
            self.folder = Path(details["folder"])
            group = self._endpoint.log_group
            try:
                server = ServedModel(run, record.host, details["stream"], group, rooms.events)
            except RunFailedToStart as why:
                log.info("%s: a server is started again: %s", self._endpoint.name, why)
                rooms.runs.remove(record.id)
            else:
                self.servers[record.host].append(server)

    def restart(self, variant: str) -> None:
        """One more server, for one that ended. Raises FleetFailed when it does not come up,
        ServerEnded when it has ended, too."""
        fresh = self._start(variant)
        try:
            self._wait_for(fresh)
        except FleetFailed:
            self._stop(fresh, 0)
            raise
        self.servers[variant].append(fresh)

    def forget(self, server: ServedModel) -> None:
        if server in self.servers[server.variant]:
            self.servers[server.variant].remove(server)
        self._stop(server, 0)

    def leave(self) -> None:
        """The emulator ends, the servers do not: the next start takes them up."""
        for group in self.servers.values():
            for server in group:
                server.leave()

    def stop(self, grace_seconds: float) -> None:
        """All servers at once, then the folder."""
        servers = [server for group in self.servers.values() for server in group]
        for group in self.servers.values():
            group.clear()
        if servers:
            with ThreadPoolExecutor(len(servers)) as pool:
                list(pool.map(lambda server: self._stop(server, grace_seconds), servers))
        shutil.rmtree(self.folder, ignore_errors=True)

    def routes(self, weights: Mapping[str, float]) -> tuple[VariantRoute, ...]:
        serverless = {v["VariantName"] for v in self.config.variants if "ServerlessConfig" in v}
        return tuple(
            VariantRoute(
                name,
                weights.get(name, 1.0),
                tuple(server.route for server in servers),
                name in serverless,
            )
            for name, servers in self.servers.items()
            if servers
        )

    # --- one server ---------------------------------------------------------------------------

    def _plan(
        self, variant: Mapping[str, Any], tell: Tell, stage: bool = True, begin: int = 0
    ) -> None:
        """Check and stage a variant once; its plan makes one instance after another, of which
        `begin` are begun before their model is staged."""
        name, rooms = variant["VariantName"], self._rooms
        try:
            model = rooms.models.get(variant["ModelName"])
        except NotFound:
            raise FleetFailed(f'Could not find model "{variant["ModelName"]}".') from None
        if len(model.containers) != 1:
            raise FleetFailed(
                f"Model {model.name} has {len(model.containers)} containers; inference pipelines "
                "are not emulated by sagedock."
            )
        container = model.containers[0]
        image = container.get("Image", "")
        folder = self.folder / name / "model"
        env = {**rooms.environment.variables(), **container.get("Environment", {})}
        isolated = bool(model.request.get("EnableNetworkIsolation", False))

        def plan() -> ServerPlan:
            workdir = self.folder / name / secrets.token_hex(4)
            for part in ("ml/input", "ml/output", "ml/code", "ml/model"):
                (workdir / part).mkdir(parents=True, exist_ok=True)
            return ServerPlan(
                endpoint=self._endpoint.name,
                arn=self._endpoint.arn,
                variant=name,
                image=image,
                env=env,
                model_folder=folder,
                workdir=workdir,
                log_group=self._endpoint.log_group,
                isolated=isolated,
                instance_type=variant.get("InstanceType", ""),
            )

        self._plans[name] = plan
        try:
            rooms.backend.check(image)
            if stage:
                folder.mkdir(parents=True, exist_ok=True)
                for _ in range(begin):
                    self._begun.append(plan())
                    rooms.backend.ahead(self._begun[-1].spec())
                stage_model(container, folder, rooms.objects)
                rooms.backend.prepare(image, tell, variant.get("InstanceType", ""))
        except (ImageNotFound, RunFailedToStart, ModelDataMissing) as error:
            raise FleetFailed(str(error)) from error

    def _start(self, variant: str) -> ServedModel:
        begun = next((plan for plan in self._begun if plan.variant == variant), None)
        if begun is not None:
            self._begun.remove(begun)
        plan = begun or self._plans[variant]()
        try:
            server = ServedModel.start(plan, self._rooms.backend, self._rooms.events)
        except (ImageNotFound, RunFailedToStart) as error:
            raise FleetFailed(str(error)) from error
        details = {
            "config": self.config.name,
            "stream": server.stream,
            "folder": str(self.folder),
        }
        self._rooms.runs.add(RunRecord(server.run.id, self._endpoint.arn, variant, details))
        return server

    def _wait_for(self, server: ServedModel) -> None:
        try:
            server.wait_until_healthy(self._rooms.startup_seconds, self._given_up)
        except ModelServerFailed as error:
            failed = ServerEnded if isinstance(error, ModelServerEnded) else FleetFailed
            raise failed(
                f"The primary container for production variant {server.variant} did not pass the "
                f"ping health check. Please check CloudWatch logs for this endpoint. {error}"
            ) from error

    def _stop(self, server: ServedModel, grace_seconds: float) -> None:
        server.stop(grace_seconds)
        self._rooms.runs.remove(server.run.id)


def variant_states(config: EndpointConfig, models: Resources[Model]) -> tuple[VariantState, ...]:
    """The variants of a configuration before any server runs."""
    states = []
    for variant in config.variants:
        try:
            containers = models.get(variant["ModelName"]).containers
        except NotFound:
            containers = ()
        images = tuple(str(container.get("Image", "")) for container in containers)
        states.append(VariantState.of(variant, images))
    return tuple(states)
