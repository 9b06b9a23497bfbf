"""sagedock: Amazon SageMaker training and hosting on your own machine.

    with sagedock.Emulator() as dock:
        sagemaker = boto3.client("sagemaker", **dock.client_kwargs)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagedock.emulator import Emulator
    from sagedock.settings import Settings

__version__ = "0.1.0"
__all__ = ["Emulator", "Settings", "__version__"]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used: `sagedock env` needs none of them."""
    if name == "Emulator":
        from sagedock.emulator import Emulator

        return Emulator
    if name == "Settings":
        from sagedock.settings import Settings

        return Settings
    raise AttributeError(f"module 'sagedock' has no attribute {name!r}")
