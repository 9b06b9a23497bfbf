"""What is done to MXNet as it is imported; `interpreter_start` calls it at the right moments."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_before_distributed_store: list[Callable[[], None]] = []


def before_import(mxnet: ModuleType) -> None:
    """All that MXNet needs before it is executed."""
    supply_removed_names(mxnet)
    lend_a_driver()


def lend_a_driver() -> None:
    """Load the image's stand-in for NVIDIA's driver (SAGEDOCK_NO_DRIVER) where there is no driver.

    MXNet's CUDA build links to libcuda.so.1 and cannot be imported without. A library that is
    loaded already counts for the loader by its soname, so nothing has to be on any path, and a real
    driver, which is looked for first, can never be hidden.
    """
    stand_in = os.environ.get("SAGEDOCK_NO_DRIVER")
    if not stand_in:
        return
    import ctypes

    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        ctypes.CDLL(stand_in)


def supply_removed_names(mxnet: ModuleType) -> None:
    """Give NumPy back the aliases that NumPy 1.24 removed and MXNet 1.9.1 uses (`numpy.bool`).

    Only Python 3.12 needs it: no NumPy that still has them runs there. Scripts of the time use the
    other aliases. NumPy 1.20-1.23 keep their own, with their own warnings.
    """
    import numpy

    version = tuple(int(part) for part in numpy.__version__.split(".")[:2])
    if (1, 24) <= version < (2, 0):
        for name, builtin in (
            ("bool", bool),
            ("int", int),
            ("float", float),
            ("complex", complex),
            ("object", object),
            ("str", str),
        ):
            vars(numpy).setdefault(name, builtin)


def use_cpu_without_gpu(context: ModuleType) -> None:
    """Let a script that asks for a GPU where there is none run on the CPU, with one warning.

    Every way to a GPU context (`mx.gpu`, `Context("gpu")`, `from mxnet import gpu`) looks its name
    up in `Context.devstr2type`. There "gpu" is left out until it is first asked for, so nothing
    else costs more than before. `mx.gpu(1)` becomes `mx.cpu(1)`: contexts that differ stay so.
    SAGEDOCK_GPU=strict leaves MXNet and its error alone; SAGEDOCK_GPU_TOLD says that the job's log
    has the warning already, from the emulator.
    """
    if os.environ.get("SAGEDOCK_GPU") == "strict":
        return
    module: Any = context
    device_class = module.Context
    types = device_class.devstr2type

    class DeviceTypes(dict):  # type: ignore[type-arg]
        def __missing__(self, name: str) -> int:
            if name != "gpu":
                raise KeyError(name)
            self[name] = types["gpu"] if _count_gpus(module) else types["cpu"]
            if self[name] == types["cpu"] and not os.environ.get("SAGEDOCK_GPU_TOLD"):
                sys.stderr.write(
                    "sagedock WARNING: this script asks for a GPU and there is none here: it runs "
                    "on the CPU. In the cloud it needs a GPU instance; SAGEDOCK_GPU=strict fails "
                    "here as there.\n"
                )
                sys.stderr.flush()
            return int(self[name])

    device_class.devstr2type = DeviceTypes({k: v for k, v in types.items() if k != "gpu"})


def _count_gpus(context: Any) -> int:
    try:
        return int(context.num_gpus())
    except Exception:  # MXNetError: a CUDA build whose driver refuses; the same as no GPU
        return 0


def before_distributed_store(callback: Callable[[], None]) -> None:
    """Have `callback` called once, before this process first creates a `dist_*` key-value store."""
    _before_distributed_store.append(callback)


def tell_of_distributed_stores(kvstore_base: ModuleType) -> None:
    """Wrap `mxnet.kvstore.base.create`, from which all other places import it."""
    module: Any = kvstore_base
    create = module.create

    def create_after_telling(name: Any = "local") -> Any:
        if isinstance(name, str) and name.lower().startswith("dist"):
            while _before_distributed_store:
                _before_distributed_store.pop()()
        return create(name)

    create_after_telling.__name__ = create.__name__
    create_after_telling.__doc__ = create.__doc__
    module.create = create_after_telling
