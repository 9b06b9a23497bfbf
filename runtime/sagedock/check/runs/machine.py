"""What a check has to know of the machine that it runs code on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol


class Machine(Protocol):
    """The settings that runs need, as `sagedock.settings.Settings` has them: so a check gives a run
    what the emulator would give it."""

    @property
    def frameworks(self) -> Path | None: ...

    @property
    def gpu(self) -> Literal["auto", "strict"]: ...

    @property
    def gpu_sharing(self) -> bool: ...

    @property
    def instance_size(self) -> Literal["memory", "full", "machine"]: ...

    @property
    def base_image(self) -> str | None: ...
