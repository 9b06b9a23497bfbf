"""sagedock: Amazon SageMaker training and hosting on your own machine.

with sagedock.Emulator() as dock:
    sagemaker = boto3.client("sagemaker", **dock.client_kwargs)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagedock.emulator import Emulator
    from sagedock.settings import Settings

__version__ = "0.1.0"
__all__ = ["Emulator", "Settings", "__version__"]


_PLACES = {"Emulator": "sagedock.emulator", "Settings": "sagedock.settings"}


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used: `sagedock env` needs none of them."""
    if name not in _PLACES:
        raise AttributeError(f"module 'sagedock' has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
