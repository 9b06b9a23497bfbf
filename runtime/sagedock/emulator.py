"""The only place where concrete parts meet.

with sagedock.Emulator() as dock:
    boto3.client("sagemaker", **dock.client_kwargs)
"""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Any

from typing_extensions import Self

from sagedock import __version__
from sagedock.backends.base import Backend
from sagedock.backends.process import ProcessBackend
from sagedock.client_environment import FAKE_KEY, FAKE_SECRET, write_sdk_config
from sagedock.domain.hosting import Endpoint
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
from sagedock.server.connect_proxy import ConnectProxy
from sagedock.server.fast_lane import FastLane
from sagedock.server.gateway import Gateway, Identity
from sagedock.server.health import Info, health_router
from sagedock.server.limits import InvocationLimits
from sagedock.server.object_bodies import ObjectBodies
from sagedock.server.origins import Fence
from sagedock.server.protocol import Lanes
from sagedock.server.running import Server
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
