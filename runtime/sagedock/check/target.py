"""What a script is checked for: the image, the instance and the channels it will meet."""

from __future__ import annotations

import ast
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sagedock.check.subjects.module import Module, required
from sagedock.check.subjects.words import words
from sagedock.errors import CheckError

if TYPE_CHECKING:
    from sagedock.domain.families import ImageFamily

Generation = Literal["legacy", "script"]

TRAIN_ARGUMENTS = (
    "hyperparameters",
    "input_data_config",
    "channel_input_dirs",
    "output_data_dir",
    "model_dir",
    "num_gpus",
    "num_cpus",
    "hosts",
    "current_host",
)
"""What a legacy image passes to `train`, by name: the complete list
(sagemaker-mxnet-container 1.0, train.py, kwargs_for_training)."""

OTHER_FRAMEWORKS = words(
    """
    torch tensorflow keras sklearn xgboost lightgbm catboost transformers jax chainer paddle
    pytorch_lightning lightning fastai
    """
)
"""Frameworks that have images of their own: what those contain is not known here."""

_GPU_FAMILIES = ("p2", "p3", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "p6", "g4dn", "g5", "g6")


@dataclass(frozen=True, slots=True)
class Target:
    """What the user declared; None and () where nothing was said."""

    framework_version: str | None = None
    instance_type: str | None = None
    channels: tuple[str, ...] | None = None
    hyperparameters: tuple[str, ...] | None = None
    """Their names."""

    def validated(self) -> Target:
        """This one. Raises CheckError for a version and a type that there never were."""
        if self.framework_version and _mxnet().version(self.framework_version) is None:
            raise CheckError(
                f"There was no MXNet image of version {self.framework_version!r}. "
                f"There are {', '.join(_mxnet().versions)}."
            )
        if self.instance_type and len(self.instance_type.split(".")) != 3:
            raise CheckError(
                f"{self.instance_type!r} is no instance type: they look like ml.m5.large."
            )
        return self

    @property
    def declared(self) -> Generation | None:
        """The generation of the declared version: script mode from 1.3 on, the SDK's own rule."""
        if self.framework_version is None:
            return None
        return generation_of(_mxnet().version(self.framework_version) or "")

    @property
    def has_gpu(self) -> bool | None:
        """None where no instance type was declared."""
        return None if self.instance_type is None else has_gpu(self.instance_type)

    def generation(self, entry: Module) -> Generation | None:
        """The declared one, or the one the script was written for; None where nothing tells.

        Functions only, `train` among them, is legacy. A main guard or statements that do something
        are script mode, unless the guard only calls `train` in a script that reads no arguments:
        the debugging aid that AWS's legacy documentation advised.
        """
        return self.declared or _written_for(entry)

    def is_mxnet(self, entry: Module) -> bool:
        """Whether MXNet's images are meant: what is in them says nothing about other images."""
        if self.framework_version is not None or "mxnet" in entry.packages:
            return True
        if self.generation(entry) != "legacy" or OTHER_FRAMEWORKS & entry.packages:
            return False
        return entry.tree is None or _takes_what_is_passed(entry)


def _mxnet() -> ImageFamily:
    """The table of images takes a while to read, and most scripts are checked for no version."""
    family: ImageFamily = importlib.import_module("sagedock.domain.images").MXNET
    return family


def generation_of(version: str) -> Generation:
    """The generation of a full version of MXNet's images: script mode from 1.3 on."""
    return "legacy" if tuple(int(n) for n in version.split(".")) < (1, 3) else "script"


def has_gpu(instance_type: str) -> bool:
    """Whether an instance type such as ml.p3.2xlarge has GPUs, by its family."""
    family = instance_type.removeprefix("ml.").partition(".")[0]
    return family in _GPU_FAMILIES or family.startswith(("p", "g4", "g5", "g6", "gr"))


def _written_for(entry: Module) -> Generation | None:
    if entry.tree is None:
        has_guard = "__name__" in entry.text
        return "legacy" if not has_guard and "def train(" in entry.text else None
    has_train = "train" in entry.functions
    if entry.guards:
        debugs = all(_calls_train(s) for guard in entry.guards for s in guard.body)
        is_aid = has_train and debugs and not entry.reads_arguments
        return "legacy" if is_aid else "script"
    if entry.acts:
        return "script"
    return "legacy" if has_train else None


def _takes_what_is_passed(entry: Module) -> bool:
    """Whether `train` asks for anything that a legacy container passes, or for nothing by name.
    Many files have a `train` that no container was ever to call."""
    names = {argument.arg for argument in required(entry.functions["train"])}
    return not names or not names.isdisjoint(TRAIN_ARGUMENTS)


def _calls_train(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    called = getattr(value, "func", None)
    return isinstance(called, ast.Name) and called.id == "train"
