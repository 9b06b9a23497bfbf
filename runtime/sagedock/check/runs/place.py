"""Where the runs of a check take place: in processes here, in containers in `docker_place`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from sagedock.backends.base import Backend, Run
from sagedock.backends.process import ProcessBackend
from sagedock.check.runs.machine import Machine
from sagedock.check.subjects.request import Request
from sagedock.check.wanted import Wanted


@dataclass(frozen=True)
class Provision:
    """What a run gets by its request: the instance type, "" where none is named, and whether it is
    cut off from the network."""

    instance_type: str = ""
    isolated: bool = False


@dataclass(frozen=True)
class Provisions:
    """Those of training runs, and those of model servers."""

    training: Provision = Provision()
    hosting: Provision = Provision()


def provisions(wanted: Wanted, requests: Sequence[Request]) -> Provisions:
    """Of several requests of one operation the first counts. A training's type is that of the
    option, if there is one; a server's that of its configuration (`hosting_placement`)."""

    def said(operation: str, *path: str | int) -> object:
        return next((r.get(*path) for r in requests if r.operation == operation), None)

    trained = said("CreateTrainingJob", "ResourceConfig", "InstanceType")
    served = said("CreateEndpointConfig", "ProductionVariants", 0, "InstanceType")
    alone = wanted.network_isolation
    training_alone = alone or said("CreateTrainingJob", "EnableNetworkIsolation") is True
    hosting_alone = alone or said("CreateModel", "EnableNetworkIsolation") is True
    return Provisions(
        Provision(wanted.instance_type or str(trained or ""), training_alone),
        Provision(str(served or wanted.instance_type or ""), hosting_alone),
    )


class Place(Protocol):
    """Makes the backend of a throw-away folder, and knows what only it can tell of a run."""

    @property
    def name(self) -> Literal["process", "docker"]: ...

    def backend(self, home: Path) -> Backend: ...

    def written(self, run: Run, worth: Callable[[str], bool]) -> tuple[str, ...]:
        """Files that a run which has ended wrote outside of the folders it was shown, if their path
        is `worth` a look."""


@dataclass(frozen=True)
class Processes:
    """Fulfils `Place`."""

    machine: Machine
    name: Literal["process", "docker"] = "process"

    def backend(self, home: Path) -> Backend:
        assert self.machine.frameworks is not None
        return ProcessBackend(home, self.machine.frameworks, self.machine.gpu)

    def written(self, run: Run, worth: Callable[[str], bool]) -> tuple[str, ...]:
        """All of its folders are ours."""
        return ()
