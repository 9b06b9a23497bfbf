"""What runs user code: the seam between *what to run* and *where*.

A `RunSpec` says what; a `Backend` starts it; a `Run` is the started thing. Two honest
implementations fulfil it (process, docker) and one that tests play by hand; one contract suite,
`tests/backends/test_contract.py`, runs over all of them. Nothing here knows what a training job is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Guard = Literal["mode", "mount", "nothing"]
"""What keeps a run from writing into a file of ours that it is shown: the file's mode, as for an
ordinary user; a read-only mount of that one file; or nothing, so that it has to be a copy."""

Tell = Callable[[str], None]
"""Receives one line of progress (an environment being built, an image being pulled)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of ours (a file, where `Backend.guard` says "mount"), and where the run sees it."""

    outside: Path
    inside: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What to run, in no backend's own words.

    `command` is what follows the image's entry point (`("train",)` or `("serve",)`); `entrypoint`
    and `arguments` replace both where a job names ContainerEntrypoint or ContainerArguments.
    `workdir` is a folder of this run alone in which a backend may keep its log and exit code; the
    `/opt/ml` tree is the mount whose `inside` is `/opt/ml`. `hosts` maps the names of all hosts of
    the job to addresses, where the backend can know them. `instance_type` ("ml.p3.2xlarge", or "")
    is what the run would have in the cloud: a backend gives it as much of that as it can.
    `is_first`: the command is to be process 1 of its container, as in the cloud, with no init above
    it: what it makes of SIGTERM is then its own doing.
    """

    name: str
    image: str
    command: tuple[str, ...]
    workdir: Path
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    hostname: str = "algo-1"
    hosts: tuple[str, ...] = ("algo-1",)
    ports: tuple[int, ...] = ()
    instance_type: str = ""
    entrypoint: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    isolated: bool = False
    is_first: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's output, without its line end.

    `position` is where reading goes on after this line: hand it to `Run.lines` in a later process
    and no line is lost or doubled. `timestamp_ms` is milliseconds since 1970, UTC.
    """

    text: str
    position: str
    timestamp_ms: int


class Run(Protocol):
    """Something that was started."""

    @property
    def id(self) -> str:
        """An address that outlives this process: `Backend.find(run.id)` after our restart."""

    def lines(self, after: str | None = None) -> Iterator[LogLine]:
        """Output from `after` on (from the start for None); follows until the run has ended and
        all its output was read. A line not yet ended by a newline is held back until it is, or
        until the run ends. Lines over 256 KiB are split there (CloudWatch's event limit)."""

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code (128+n for signal n), or None when `timeout` seconds pass first or when
        the code can never be known (the machine was restarted under it: see `lost`)."""

    @property
    def lost(self) -> bool:
        """True when the run is gone and its exit code with it."""

    @property
    def remark(self) -> str:
        """What the backend knows of the end beyond the exit code (killed for memory; its engine was
        stopped), fit for a FailureReason; "" when nothing, and before the end."""

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to the whole group, wait `grace_seconds`, SIGKILL; returns when all is gone.
        No error when it has ended already."""

    def address(self, port: int) -> tuple[str, int]:
        """Host and port at which we reach the run's `port`. Raises RunFailedToStart where nothing
        leads there."""

    def close(self) -> None:
        """Give back what the run holds outside (a container, descriptors); kills what is left of
        its process group. The log and exit code may be gone afterwards."""


class Backend(Protocol):
    """Where user code runs."""

    name: str

    def check(self, image: str) -> None:
        """Raises ImageNotFound, naming the images there are, when `image` cannot be run here."""

    def prepare(self, image: str, tell: Tell, instance_type: str = "") -> None:
        """Make `image` ready to start (build its environment, or the image) for a run on that
        instance type; idempotent, safe from several threads. Tells its progress, and what the run
        will not have that it has in the cloud. Raises RunFailedToStart with a reason."""

    def guard(self, image: str, instance_type: str = "") -> Guard:
        """How a run of that image may be shown files that it must not change."""

    def ahead(self, spec: RunSpec) -> None:
        """Begin with what of a start takes long and needs none of the run's files, while those are
        being staged: `start` of the same spec is the sooner done, and raises what went wrong. Or
        `abandon` it. Its mounts have to be there, empty."""

    def abandon(self, name: str) -> None:
        """The run of that name (RunSpec.name) will not be started; no error when it was."""

    def start(self, spec: RunSpec) -> Run:
        """Start it; returns at once. Raises RunFailedToStart."""

    def find(self, run_id: str) -> Run | None:
        """The run of that id, also when another process of ours started it; None when unknown."""

    def clean(self, keep: frozenset[str]) -> None:
        """End and remove everything of ours that is not in `keep` (ids of runs)."""

    def describe(self) -> str:
        """Where user code runs, and what that means for it, in half a sentence."""

    def host_address(self) -> str:
        """The host name or address at which a run reaches the emulator."""

    def neighbours(self) -> tuple[str, ...]:
        """Networks ("172.17.0.0/16") from which runs come to `host_address`, where that is an
        address of this machine on which the emulator has to listen; () where it has not."""

    def gpu_count(self) -> int:
        """GPUs that runs can use."""
