"""MXNet's parameter server over the hosts of a job.

Both generations start the same processes: on the scheduler host one scheduler, on every host one
server, each `python -c 'import mxnet'` with role variables, in which the import itself never
returns. They differ in when they do it and in which host schedules (callers decide both).
Sources: sagemaker-mxnet-training-toolkit 9c46128 train.py (legacy), 76bd6b7 training.py.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sagedock_toolkit import host_names
from sagedock_toolkit.environment import host_overrides

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger(__name__)

DEFAULT_PORT = 8000


class ParameterServer:
    """The roles of one host: the worker's variables, and scheduler and server as child processes.

    Constructing it resolves every host's name, which may wait for hosts that start later.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        current_host: str,
        scheduler_host: str,
        port: str = "",
        verbosity: str = "0",
    ) -> None:
        addresses = {host: host_names.address_of(host, current_host) for host in hosts}
        self._is_scheduler = current_host == scheduler_host
        self.scheduler_address = addresses[scheduler_host]
        self._variables = {
            "DMLC_NUM_WORKER": str(len(hosts)),
            "DMLC_NUM_SERVER": str(len(hosts)),
            "DMLC_PS_ROOT_URI": self.scheduler_address,
            "DMLC_PS_ROOT_PORT": port or default_port(),
            "PS_VERBOSE": verbosity,
        }
        if current_host in host_overrides():
            # Hosts that share one machine must each listen at their own address. In the cloud
            # MXNet finds its interface itself, and this variable is not set.
            self._variables["DMLC_NODE_HOST"] = addresses[current_host]
        self._children: list[subprocess.Popen[bytes]] = []

    def variables(self, role: str = "worker") -> Mapping[str, str]:
        """The DMLC_* and PS_* variables of a role, all strings."""
        return {**self._variables, "DMLC_ROLE": role}

    def start(self) -> None:
        """Start this host's scheduler (on the scheduler host) and server."""
        import subprocess

        for role in ("scheduler", "server") if self._is_scheduler else ("server",):
            log.info("Starting the parameter server's %s", role)
            child = subprocess.Popen(
                [sys.executable, "-c", "import mxnet"],
                env={**os.environ, **self.variables(role)},
                stdin=subprocess.DEVNULL,
            )
            self._children.append(child)

    def stop(self) -> None:
        """End what `start` started. In the cloud they end with the container."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
        self._children.clear()


def default_port() -> str:
    """8000, or SAGEDOCK_PS_PORT where jobs share one machine's ports."""
    return os.environ.get("SAGEDOCK_PS_PORT") or str(DEFAULT_PORT)
