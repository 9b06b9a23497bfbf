"""One frozen Settings, read once from SAGEDOCK_* variables and flags."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sagedock.errors import StartupError

PREFIX = "SAGEDOCK_"
DEFAULT_PORT = 4599
_OPTIONS = {name: f" (--{name})" for name in ("host", "port", "home", "backend")}
"""Settings that a command takes as an option, too."""


class Settings(BaseModel):
    """How this emulator runs. Every field is also the variable SAGEDOCK_<FIELD>, upper case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on; loopback unless you say so")
    port: int = Field(DEFAULT_PORT, ge=0, le=65535, description="port to listen on; 0 picks one")
    home: Path = Field(
        Path("~/.sagedock"), description="folder of all state: objects, jobs, environments, logs"
    )
    frameworks: Path | None = Field(
        None, description="folder of framework environments, if not <home>/frameworks"
    )
    published_locally: bool = Field(
        False,
        description="only this machine reaches the port, whatever host says (a container whose "
        "port is published on loopback): guards are those of loopback",
    )
    base_image: str | None = Field(
        None, description="image that ours are built from, if not python:3.11-slim-bookworm"
    )
    backend: Literal["auto", "process", "docker"] = Field(
        "auto", description="where user code runs"
    )
    region: str = Field("us-east-1", description="region used where a request is not signed")
    account: str = Field(
        "000000000000", pattern=r"\d{12}", description="the twelve digits of the account you are"
    )
    gpu: Literal["auto", "strict"] = Field(
        "auto",
        description="strict: a script that asks for a GPU that is not there fails, as in the cloud",
    )
    instance_size: Literal["memory", "full", "machine"] = Field(
        "memory",
        description="what of its instance type a container is held to: its memory; its processors"
        " too (full); or nothing (machine)",
    )
    gpu_sharing: bool = Field(
        False, description="let several jobs and endpoints use one GPU at the same time"
    )
    limits: Literal["strict", "warn", "off"] = Field(
        "strict", description="payload and time limits of the service: enforce, log, or ignore"
    )
    hold_seconds: float = Field(
        5.0,
        ge=0,
        le=50,
        description="how long a polling client's Describe of something in transition is held",
    )
    startup_seconds: float = Field(
        480.0, gt=0, description="deadline for a model server's first healthy /ping (AWS: 8 min)"
    )
    model_server_seconds: float = Field(
        60.0, gt=0, description="deadline for one invocation (AWS: 60 s)"
    )
    training_grace_seconds: float = Field(
        120.0, ge=0, description="SIGTERM to SIGKILL for a training job (AWS: 120 s)"
    )
    hosting_grace_seconds: float = Field(
        30.0, ge=0, description="SIGTERM to SIGKILL for a model server (AWS: 30 s)"
    )
    keep_jobs: bool = Field(
        False, description="leave jobs running when the emulator stops; the next start adopts them"
    )

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings from SAGEDOCK_* of `environment` (default: the process's own), over which
        `overrides` win where they are not None. Raises StartupError naming the bad variable."""
        environment = os.environ if environment is None else environment
        values: dict[str, Any] = {
            name: environment[PREFIX + name.upper()]
            for name in cls.model_fields
            if environment.get(PREFIX + name.upper())
        }
        values.update({name: value for name, value in overrides.items() if value is not None})
        try:
            settings = cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            raise StartupError(
                f"{PREFIX}{name.upper()}{_OPTIONS.get(name, '')} is {values.get(name)!r}: "
                f"{first['msg']}."
            ) from error
        home = settings.home.expanduser().absolute()
        frameworks = (
            settings.frameworks.expanduser().absolute()
            if settings.frameworks
            else home / "frameworks"
        )
        return settings.model_copy(update={"home": home, "frameworks": frameworks})
