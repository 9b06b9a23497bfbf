"""Builds the handler of the generation that is served, inside the worker or template."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Mapping

from sagedock_toolkit.early_handler import EarlyHandler
from sagedock_toolkit.environment import log_level
from sagedock_toolkit.generations import Generation
from sagedock_toolkit.handlers import Handler, Setting
from sagedock_toolkit.legacy_handler import LegacyHandler
from sagedock_toolkit.modern_handler import ModernHandler
from sagedock_toolkit.paths import Paths

_HANDLERS: dict[Generation, Callable[[Setting], Handler]] = {
    Generation.LEGACY: LegacyHandler,
    Generation.EARLY: EarlyHandler,
    Generation.MODERN: ModernHandler,
}

LOG_FORMAT = "%(asctime)s %(levelname)s - %(name)s - %(message)s"


def load(environ: Mapping[str, str]) -> Handler:
    """Import the user's module and load its model.

    Raises what the script raises, in the two older generations: there it ends the server.
    """
    paths = Paths.read(environ)
    generation = Generation.read(paths, environ)
    return _HANDLERS[generation](Setting(paths, environ))


def set_up_logging(environ: Mapping[str, str]) -> None:
    """The root logger on stderr, as AWS's serving processes had it: `logging.info` is seen."""
    level = log_level(environ.get("SAGEMAKER_CONTAINER_LOG_LEVEL"))
    logging.basicConfig(level=level, format=LOG_FORMAT, stream=sys.stderr)
