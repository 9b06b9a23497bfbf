"""Runs at the start of every Python of a job (`sagedock_toolkit.pth`, SAGEDOCK_TOOLKIT_START=1).

It prepares the ground for scripts of MXNet's time without touching what does not need it:

* imports of `mxnet`, `mxnet.context`, `mxnet.kvstore.base` and `socket` are *watched*: our part
  runs just before or after such a module is executed (`mxnet_hooks`, `host_names`), else never;
* modules that are gone or never were here (`distutils` on Python 3.12, AWS's own
  `sagemaker_mxnet_container.training_utils`, `container_support.serving`) are found *last*, in the
  folder stand_ins, so that a real one always wins.

This module costs well under a millisecond: it imports nothing but `os` and `sys`.
"""

import os
import sys

_BEFORE = {"mxnet": ("sagedock_toolkit.mxnet_hooks", "before_import")}
_AFTER = {
    "mxnet.context": ("sagedock_toolkit.mxnet_hooks", "use_cpu_without_gpu"),
    "mxnet.kvstore.base": ("sagedock_toolkit.mxnet_hooks", "tell_of_distributed_stores"),
    "socket": ("sagedock_toolkit.host_names", "answer_for_hosts"),
}
_STAND_INS = ("container_support", "distutils", "sagemaker_inference", "sagemaker_mxnet_container")


def install() -> None:
    """Start watching; a second call does nothing."""
    if not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())  # type: ignore[arg-type]
        sys.meta_path.append(_StandIns())  # type: ignore[arg-type]
        for name in _AFTER:
            if name in sys.modules:
                _call(_AFTER[name], sys.modules[name])


class _Watch:
    """Finds what the other finders find, and has our part run beside its execution."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name not in _BEFORE and name not in _AFTER:
            return None
        for finder in sys.meta_path:
            if not isinstance(finder, _Watch) and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)  # type: ignore[arg-type]
                if spec is not None:
                    _run_beside(name, spec)
                    return spec
        return None


def _run_beside(name: str, spec: object) -> None:
    """Wrap this one loader's exec_module; it is as before once the module has been executed."""
    loader = getattr(spec, "loader", None)
    if loader is None or not hasattr(loader, "__dict__") or not hasattr(loader, "exec_module"):
        return
    original = loader.exec_module

    def exec_module(module: object) -> None:
        vars(loader).pop("exec_module", None)
        if name in _BEFORE:
            _call(_BEFORE[name], module)
        original(module)
        if name in _AFTER:
            _call(_AFTER[name], module)

    loader.exec_module = exec_module


def _call(where: tuple, module: object) -> None:  # type: ignore[type-arg]
    ours = __import__(where[0], fromlist=[where[1]])
    getattr(ours, where[1])(module)


class _StandIns:
    """The last finder: small packages of ours in the place of ones that are nowhere."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name not in _STAND_INS:
            return None
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_ins")
        for finder in sys.meta_path:
            if getattr(finder, "__name__", "") == "PathFinder":
                return finder.find_spec(name, [folder])
        return None


install()
