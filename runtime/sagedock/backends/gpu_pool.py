"""Who has which GPU."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

from sagedock.backends.gpus import Gpu
from sagedock.errors import RunFailedToStart


class GpuPool:
    """The GPUs that runs can use; every thread may ask.

    A holder is one run; `of` says in words whose run it is ("training job x"). Runs of one `of`
    (the hosts of a job) share where there are too few for each; those of two never do, unless the
    pool was made with `shared`.
    """

    def __init__(self, gpus: Iterable[Gpu], shared: bool = False) -> None:
        self.gpus = tuple(gpus)
        self._shared = shared
        self._lock = threading.Lock()
        self._holders: dict[str, dict[str, str]] = {gpu.uuid: {} for gpu in self.gpus}

    def take(
        self, count: int, holder: str, *, of: str = "", among: Collection[Gpu] | None = None
    ) -> tuple[Gpu, ...]:
        """`count` GPUs, or as many as there are; only of `among`, where that is given. The least
        used come first. Raises RunFailedToStart, naming who has them, when others have too many:
        a job that waits says nothing, and one that fails says why."""
        of = of or holder
        with self._lock:
            there = [gpu for gpu in self.gpus if among is None or gpu in among]
            wanted = min(count, len(there))
            usable = [gpu for gpu in there if self._is_open(gpu, of)]
            if len(usable) < wanted:
                raise RunFailedToStart(self._busy(of, wanted, len(usable), there))
            usable.sort(key=lambda gpu: len(self._holders[gpu.uuid]))
            given = tuple(sorted(usable[:wanted], key=self.gpus.index))
            for gpu in given:
                self._holders[gpu.uuid][holder] = of
            return given

    def hold(self, holder: str, uuids: Iterable[str], *, of: str = "") -> None:
        """What a run has that was started before us. GPUs that are gone are passed over."""
        with self._lock:
            for uuid in uuids:
                if uuid in self._holders:
                    self._holders[uuid][holder] = of or holder

    def give_back(self, holder: str) -> None:
        """All that it has; no error where that is nothing."""
        with self._lock:
            for holders in self._holders.values():
                holders.pop(holder, None)

    def _is_open(self, gpu: Gpu, of: str) -> bool:
        return self._shared or all(other == of for other in self._holders[gpu.uuid].values())

    def _busy(self, of: str, wanted: int, free: int, there: list[Gpu]) -> str:
        holders = (other for gpu in there for other in self._holders[gpu.uuid].values())
        others = dict.fromkeys(other for other in holders if other != of)
        names = " and ".join(others)
        if free:
            said = (
                f"{wanted} GPUs are needed and {free} of {len(there)} is free; the others are "
                f"used by {names}"
            )
        elif len(there) == 1:
            said = f"The one GPU is used by {names}"
        else:
            said = f"All {len(there)} GPUs are used by {names}"
        return f"{said}: wait until that ends, stop it, or set SAGEDOCK_GPU_SHARING=true."
