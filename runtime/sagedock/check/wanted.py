"""What is to be checked, and how: a project's table, which the command line's options override."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from sagedock.check.subjects.sample import Sample
from sagedock.errors import CheckError

CONTENT_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".npy": "application/x-npy",
    ".txt": "text/plain",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".jsonl": "application/jsonlines",
}
"""Content-Type of a request's file by its ending; application/octet-stream for others."""

BACKENDS = ("process", "docker")


@dataclass(frozen=True)
class Wanted:
    """One target. A channel without a folder is only named; `requests` are files, with
    `=CONTENT/TYPE` behind those whose ending does not tell. `backend` is one of BACKENDS, None for
    processes, or for containers where an image is named."""

    path: Path | None = None
    model: Path | None = None
    image: str | None = None
    jobs: tuple[Path, ...] = ()
    operation: str | None = None
    entry_point: str | None = None
    framework_version: str | None = None
    instance_type: str | None = None
    instance_count: int = 1
    channels: Mapping[str, Path | None] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)
    requests: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    run: bool = False
    resume: bool = False
    seconds: float = 120.0
    grace: float | None = None
    request_seconds: float = 60.0
    startup_seconds: float = 120.0
    backend: str | None = None
    network_isolation: bool = False

    @property
    def is_docked(self) -> bool:
        """Whether runs take place in containers: those of an image do, others where asked for."""
        return self.image is not None or self.backend == "docker"

    @property
    def is_empty(self) -> bool:
        return self.path is None and self.model is None and not self.jobs and not self.image

    @property
    def runs(self) -> bool:
        """Whether user code is run: asked for, or told what to run it with."""
        data = any(folder is not None for folder in self.channels.values())
        return self.run or bool(self.requests) or data or self.hyperparameters is not None

    @property
    def training_grace(self) -> float:
        """Seconds from SIGTERM to SIGKILL; less than the service's 120, for nobody waits so long
        without having asked for it."""
        return 20.0 if self.grace is None else self.grace

    @property
    def hosting_grace(self) -> float:
        """Seconds from SIGTERM to SIGKILL: the service's."""
        return 30.0 if self.grace is None else self.grace

    @property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(_sample(word) for word in self.requests)

    def overridden(self, **given: Any) -> Wanted:
        """With those options that were given: neither None nor empty."""
        return replace(self, **{k: v for k, v in given.items() if v not in (None, (), {}, False)})


def _sample(word: str) -> Sample:
    name, mark, kind = word.partition("=")
    file = Path(name)
    try:
        body = file.read_bytes()
    except OSError as error:
        raise CheckError(f"The request {file} cannot be read: {error.strerror}.") from error
    guessed = CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream")
    return Sample(file.as_posix(), body, kind if mark else guessed)


def channels_of(words: Sequence[str]) -> dict[str, Path | None]:
    """`training`, or `training=FOLDER`."""
    found: dict[str, Path | None] = {}
    for word in words:
        name, mark, folder = word.partition("=")
        found[name] = _existing(Path(folder), f"The channel {name}") if mark else None
    return found


def hyperparameters_of(file: Path) -> dict[str, Any]:
    """A JSON object of name → value."""
    try:
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise CheckError(f"The hyperparameters {file} cannot be read: {error}.") from error
    if not isinstance(value, dict):
        raise CheckError(f"{file} holds no JSON object; hyperparameters are one.")
    return value


def _existing(path: Path, what: str) -> Path:
    if not path.exists():
        raise CheckError(f"{what}: {path} does not exist.")
    return path


RULE_KEYS = ("select", "ignore", "warn")
_PATHS = ("path", "model")
_TABLES = ("channels", "hyperparameters", "environment", "metrics")
_LISTS = ("jobs", "requests", "accept")


def wanted_of(table: Mapping[str, Any], file: Path) -> Wanted:
    """The target of a project's table; paths are relative to its file. Raises CheckError for a
    key that means nothing."""
    known = {one.name.replace("_", "-") for one in fields(Wanted)}
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key in RULE_KEYS:
            continue
        if key not in known:
            listed = ", ".join(sorted((*known, *RULE_KEYS)))
            raise CheckError(f"{file}: the check knows no {key!r}. It knows {listed}.")
        given[key.replace("-", "_")] = _value(key, value, file)
    return Wanted(**given)


def _value(key: str, value: Any, file: Path) -> Any:
    place = file.parent

    def near(text: str) -> Path:
        path = place / text
        try:
            return path.relative_to(Path.cwd())
        except ValueError:
            return path

    if key == "hyperparameters" and isinstance(value, str):
        return hyperparameters_of(near(value))
    if key in _TABLES:
        if not isinstance(value, dict):
            raise CheckError(f"{file}: {key} is a table of names and values.")
        if key == "channels":
            return {
                name: _existing(near(str(folder)), f"The channel {name}") if folder else None
                for name, folder in value.items()
            }
        return value
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise CheckError(f"{file}: {key} is a list of texts.")
        if key == "jobs":
            return tuple(near(word) for word in value)
        return tuple(str(near(word)) if key == "requests" else word for word in value)
    if key in _PATHS:
        return near(str(value))
    if key == "backend" and value not in BACKENDS:
        raise CheckError(f"{file}: backend is one of {', '.join(BACKENDS)}, not {value!r}.")
    return value
