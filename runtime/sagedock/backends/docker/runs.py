"""One container: its lines, its end, its address. Fulfils `base.Run`."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from docker.errors import APIError, DockerException, NotFound
from urllib3.exceptions import HTTPError

from sagedock.backends.base import LogLine
from sagedock.backends.docker import labels
from sagedock.backends.docker.engine import GONE, Engine, Witness, explanation
from sagedock.backends.docker.log_records import (
    LineAssembly,
    Position,
    Record,
    nanoseconds,
    records,
)
from sagedock.backends.docker.relay import Relay
from sagedock.backends.docker.surroundings import LOOPBACK, Neighbourhood
from sagedock.errors import RunFailedToStart

log = logging.getLogger("sagedock.docker")

PREFIX = "docker;"
_GIB = 1024**3
_TERMINATED, _KILLED = 143, 137
_END_SECONDS = 5.0
_DELETED = 2
"""Kind of a change in the answer to `GET /containers/ID/changes`."""

_IS_FOLDER = 1 << 31
"""In a mode as Go has it (fs.ModeDir)."""

_LAST_LINES = 50
_DENIED = re.compile(rb"[Pp]ermission denied.*/opt/ml|/opt/ml.*[Pp]ermission denied")
"""Python and Java name the path last, a shell and its programs first."""

_MOST_REFUSALS = 5
_SAME_MOMENT = 0.05
_SILENT_SECONDS = 20.0
"""After so long without a line the log is asked for anew: a follower that comes to an engine while
the container ends may wait for ever, and so may one whose connection was dropped on its way."""

_SHUTDOWN_SECONDS = 15.0

_ENGINE_STOPPED = "the Docker engine was stopped while it ran, and ended it"

Ending = Callable[["DockerRun"], None]
"""`settle` may raise RunFailedToStart: the run's results are not to be had, and why."""


class DockerRun:
    """A container of ours. A thread waits for its end, has `settle` put its files in order, and
    only then says that it has ended."""

    def __init__(
        self,
        engine: Engine,
        record: Mapping[str, Any],
        witness: Witness,
        near: Neighbourhood,
        settle: Ending,
        closed: Ending,
    ) -> None:
        """`record` is the engine's own, from inspect; `witness` has been there since before, so
        that no end of the engine's falls between."""
        self._engine, self._witness, self._near = engine, witness, near
        self._settle, self._closed = settle, closed
        self.container: str = record["Id"]
        self.labels: Mapping[str, str] = record["Config"].get("Labels") or {}
        self.image: str = record["Image"]
        self._user: str = (record["Config"].get("User") or "").partition(":")[0]
        self._code: int | None = None
        self._remark = ""
        self._ended = threading.Event()
        self._gone = threading.Event()
        self._we_stopped = False
        self._lock = threading.Lock()
        self._relay: Relay | None = None
        name = f"run-{self.container[:12]}"
        threading.Thread(target=self._await_end, name=name, daemon=True).start()

    @property
    def id(self) -> str:
        return PREFIX + self.container

    @property
    def name(self) -> str:
        return self.labels.get(labels.RUN, "")

    @property
    def network(self) -> str | None:
        return self.labels.get(labels.NETWORK)

    @property
    def workdir(self) -> Path:
        return Path(self.labels.get(labels.WORKDIR, ""))

    @property
    def copied(self) -> list[tuple[Path, str, bool]]:
        """(ours, the container's, read-only) of folders that were copied in."""
        told = json.loads(self.labels.get(labels.COPIED, "[]"))
        return [(Path(outside), inside, read_only) for outside, inside, read_only in told]

    @property
    def lost(self) -> bool:
        return self._ended.is_set() and self._code is None

    @property
    def remark(self) -> str:
        return self._remark if self._ended.is_set() else ""

    def written(self, worth: Callable[[str], bool]) -> tuple[str, ...]:
        """Files that it made or changed in the container itself, outside of every mount, if their
        path is `worth` a look; asked for before `close`."""
        api = self._engine.client.api
        try:
            told = self._engine.patiently(lambda: api.diff(self.container)) or ()
            there = sorted(
                (str(change["Path"]) for change in told if change["Kind"] != _DELETED),
                key=lambda path: path.split("/"),
            )
            # A folder comes right before what is in it; one that is empty only its mode tells.
            return tuple(
                path
                for path, after in zip(there, [*there[1:], ""], strict=False)
                if not after.startswith(f"{path}/") and worth(path) and self._is_file(path)
            )
        except (NotFound, APIError, *GONE) as error:
            log.warning("What %s wrote is not known: %s", self.name, explanation(error))
            return ()

    def _is_file(self, path: str) -> bool:
        chunks, told = self._engine.client.api.get_archive(self.container, path)
        chunks.close()
        return not int(told["mode"]) & _IS_FOLDER

    # --- lines ----------------------------------------------------------------------------------

    def lines(self, after: str | None = None) -> Iterator[LogLine]:
        """A stream that ends says nothing by itself (it also does when the engine is stopped, and
        before the last line): read on until one was asked for after the end."""
        assembly, refusals = LineAssembly(Position.parse(after)), 0
        while True:
            is_last = self._ended.is_set() or self._gone.is_set()
            before, assembly = assembly, LineAssembly(assembly.position)
            try:
                for record in self._records(assembly.position.since, follow=not is_last):
                    yield from assembly.feed(record)
                if is_last:
                    yield from assembly.rest()
                    return
            except NotFound:
                # It was removed, by whomever: there is no more than what came before.
                yield from before.rest()
                return
            except (APIError, requests.exceptions.HTTPError) as error:
                log.debug("the engine does not give the log of %s: %s", self.name, error)
                refusals += 1
                if is_last or refusals > _MOST_REFUSALS:
                    log.warning("The log of %s cannot be read to its end: %s", self.name, error)
                    return
            except (requests.exceptions.RequestException, OSError) as error:
                log.debug("the log of %s broke off, or was silent: %s", self.name, error)
                if not self._engine.wait_until_back() and is_last:
                    log.warning("The last lines of %s are lost with its engine", self.name)
                    return
                continue
            # The container's end is known a moment after that of its log.
            self._ended.wait(_END_SECONDS)

    def _records(self, since: str | None, follow: bool) -> Iterator[Record]:
        """docker-py's own `logs` would round `since` to a float, and give no frames."""
        api = self._engine.client.api
        wanted: dict[str, Any] = {
            "stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "tail": "all"
        }  # fmt: skip
        if since is not None:
            wanted["since"] = since
        address = f"{api.base_url}/v{api.api_version}/containers/{self.container}/logs"
        timeout = (self._engine.patience_seconds, _SILENT_SECONDS)
        with api.get(address, params=wanted, stream=True, timeout=timeout) as answer:
            if answer.status_code == requests.codes.not_found:
                raise NotFound(answer.text)
            answer.raise_for_status()
            try:
                yield from records(answer.raw.read)
            except HTTPError as error:
                # Below requests, which would have given it this name.
                raise requests.exceptions.ChunkedEncodingError(error) from error

    # --- the end --------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> int | None:
        self._ended.wait(timeout)
        return self._code

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to the container's first process, as the service sends it; SIGKILL to all of it.
        (The engine's own stop knows whole seconds only.)"""
        self._we_stopped = True
        if not self._ended.is_set():
            self._signal("SIGTERM")
        if not self._ended.wait(max(0.0, grace_seconds)):
            self._signal("SIGKILL")
            self._ended.wait(self._engine.patience_seconds)

    def close(self) -> None:
        if not self._ended.is_set():
            self._we_stopped = True
            self._signal("SIGKILL")
            self._ended.wait(self._engine.patience_seconds)
        remove = self._engine.client.api.remove_container
        try:
            self._engine.patiently(lambda: remove(self.container, v=True, force=True))
        except NotFound:
            pass
        except (APIError, *GONE) as error:
            # Also 409, when somebody else is removing it. What stays is found by its label.
            log.warning("The container of %s stays: %s", self.name, explanation(error))
        self._gone.set()
        if self._relay is not None:
            self._relay.close()
        self._closed(self)

    def _signal(self, name: str) -> None:
        try:
            self._engine.patiently(lambda: self._engine.client.api.kill(self.container, name))
        except NotFound:
            self._gone.set()
        except (APIError, *GONE) as error:
            # 409: it has ended meanwhile.
            log.debug("%s for %s: %s", name, self.name, explanation(error))

    def _await_end(self) -> None:
        try:
            state = self._state_at_the_end()
            if state is not None:
                self._remark = self._remark or self._why(state)
                self._settle(self)
                self._code = None if self._remark == _ENGINE_STOPPED else int(state["ExitCode"])
        except RunFailedToStart as error:
            self._remark = str(error)
        except Exception:
            log.exception("The end of %s was not seen", self.name)
        finally:
            self._ended.set()

    def _state_at_the_end(self) -> Mapping[str, Any] | None:
        """The container's state once it runs no more; None when it is gone, and its code with it.
        An answer to `wait` is no proof: an engine that is being stopped gives one, too, for it ends
        its containers. So the engine is asked whether it stays."""
        engine, broke, refusals = self._engine, 0.0, 0
        witness: Witness | None = self._witness
        while True:
            asked = time.time()
            try:
                witness = witness or engine.witness()
                state = self._state()
                if _goes_on(state):
                    broke = 0.0  # it outlived what there was
                    if witness.ended_at is not None:
                        witness = None
                        continue
                    engine.client.api.wait(self.container, timeout=None)
                    asked = time.time()
                    state = self._state()
                if _goes_on(state):
                    continue
                if not _left_meanwhile(engine, witness, state):
                    break
            except NotFound:
                return None
            except GONE as error:
                asked = time.time()
                log.warning("The Docker engine went away under %s: %s", self.name, error)
            except APIError as error:
                refusals += 1
                log.warning("The engine does not tell of %s: %s", self.name, explanation(error))
                if refusals > _MOST_REFUSALS:
                    self._remark = f"the Docker engine does not tell of it: {explanation(error)}"
                    return None
                time.sleep(_END_SECONDS)
                continue
            if not engine.wait_until_back():
                self._remark = (
                    "the Docker engine went away while it ran, and did not come back within "
                    f"{engine.patience_seconds:.0f} s"
                )
                return None
            if witness is None or witness.ended_at is not None:
                # Else it is the same engine as before.
                seen = witness.ended_at if witness is not None else None
                broke, witness = broke or seen or asked, None
        if broke and not self._we_stopped and _was_ended_by_engine(state, broke):
            self._remark = _ENGINE_STOPPED
        return state

    def _state(self) -> Mapping[str, Any]:
        told: Mapping[str, Any] = self._engine.client.api.inspect_container(self.container)["State"]
        return told

    def _why(self, state: Mapping[str, Any]) -> str:
        """OOMKilled alone says little: it is also set when a child was killed and the run went on
        to end well (24 of 25 runs, engine 20.10)."""
        if state["ExitCode"] == 0:
            return ""
        if not state.get("OOMKilled"):
            return self._why_not_as_another_user()
        limit = self.labels.get(labels.MEMORY)
        room = f" of {int(limit) / _GIB:.4g} GiB" if limit else " of the machine"
        if state["ExitCode"] == _KILLED:
            return f"killed for memory: it needed more than its limit{room}"
        return f"one of its processes was killed for memory, at the limit{room}"

    def _why_not_as_another_user(self) -> str:
        """AWS: "SageMaker AI expects all containers to run with root users" (DG,
        your-algorithms-inference-code); whom else an image names cannot write below /opt/ml, there
        (aws/sagemaker-inference-toolkit#72, aws/sagemaker-python-sdk#4764) as here."""
        if self._user in ("", "0", "root"):
            return ""
        said = b""
        with suppress(DockerException, *GONE):
            said = self._engine.client.api.logs(self.container, tail=_LAST_LINES)
        if not _DENIED.search(said):
            return ""
        return (
            f"the container runs as user {self._user}, as its image says, who may not write there; "
            "SageMaker expects containers to run as root (SD710)"
        )

    # --- the address ----------------------------------------------------------------------------

    def address(self, port: int) -> tuple[str, int]:
        """Of a run that has ended: an address where nobody answers."""
        if labels.ISOLATED in self.labels:
            return LOOPBACK, self._relayed(port)
        inspect = self._engine.client.api.inspect_container
        try:
            told = self._engine.patiently(lambda: inspect(self.container))
        except NotFound:
            return LOOPBACK, 0
        settings = told["NetworkSettings"]
        if self._near.publishes is not None:
            for binding in (settings.get("Ports") or {}).get(f"{port}/tcp") or ():
                return self._near.published_at, int(binding["HostPort"])
        elif self._near.network == "host":
            return LOOPBACK, port
        else:
            for joined in (settings.get("Networks") or {}).values():
                if joined.get("IPAddress"):
                    return joined["IPAddress"], port
        return LOOPBACK, 0

    def _relayed(self, port: int) -> int:
        with self._lock:
            if self._relay is None:
                if self._ended.is_set():
                    return 0
                try:
                    self._relay = Relay(self._engine, self.container, port)
                except APIError as error:
                    log.debug("%s ended before a relay led to it: %s", self.name, error)
                    return 0
            return self._relay.port


def _goes_on(state: Mapping[str, Any]) -> bool:
    return bool(state.get("Running") or state.get("Restarting"))


def _left_meanwhile(engine: Engine, witness: Witness, state: Mapping[str, Any]) -> bool:
    """Whether the engine went away when, or after, the container came to its end in `state`. An
    engine that is busy answers late, and a connection may have broken long before on its way there:
    neither is a sign alone."""
    stays = engine.answers() or (engine.wait_until_back() and witness.ended_at is None)
    if witness.ended_at is None:
        return not stays
    return not stays or witness.ended_at > _ended_at(state) - _SAME_MOMENT


def _was_ended_by_engine(state: Mapping[str, Any], broke: float) -> bool:
    """`broke` is when the engine was found to be away. On its way down an engine ends what it runs
    (SIGTERM, 10 s, SIGKILL); one that was killed itself does so when it is back, unless the run
    came to an end of its own meanwhile."""
    ended = _ended_at(state)
    if ended > broke + 1:
        return state["ExitCode"] in (_TERMINATED, _KILLED) and not state.get("OOMKilled")
    return ended > broke - _SHUTDOWN_SECONDS


def _ended_at(state: Mapping[str, Any]) -> float:
    """Seconds since 1970, by the engine's clock; 0 where it does not tell."""
    try:
        return nanoseconds(str(state.get("FinishedAt", ""))) / 1e9
    except ValueError:
        return 0.0
