"""Helpers for script mode, as in AWS's MXNet training toolkit (training_utils.py)."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from sagedock_toolkit.module_save import save_module


def save(
    model_dir: str,
    model: Any,
    current_host: str | None = None,
    hosts: Sequence[str] | None = None,
) -> None:
    """Save a Module in the format of the default serving handlers, on the first host only.

    The hosts default to SM_CURRENT_HOST and SM_HOSTS; KeyError outside a job, as with AWS's.
    """
    current_host = current_host or os.environ["SM_CURRENT_HOST"]
    hosts = hosts or json.loads(os.environ["SM_HOSTS"])
    if current_host == scheduler_host(hosts):
        save_module(model, model_dir)


def scheduler_host(hosts: Sequence[str]) -> str:
    """The host with the parameter server's scheduler: the first of the list."""
    return hosts[0]
