"""The /opt/ml tree of the SageMaker container contract.

The root is SAGEMAKER_BASE_DIR where that is set (AWS's own toolkits read the same variable), else
/opt/ml. Nothing is created on import or on construction.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

DEFAULT_BASE = "/opt/ml"


class Paths:
    """Every place of one /opt/ml tree, as plain strings (user code of 2018 joins strings)."""

    def __init__(self, base: str = DEFAULT_BASE) -> None:
        self.base = os.path.abspath(base)
        self.code = os.path.join(self.base, "code")
        self.model = os.path.join(self.base, "model")
        self.models = os.path.join(self.base, "models")
        self.input = os.path.join(self.base, "input")
        self.input_config = os.path.join(self.input, "config")
        self.input_data = os.path.join(self.input, "data")
        self.output = os.path.join(self.base, "output")
        self.output_data = os.path.join(self.output, "data")
        self.output_intermediate = os.path.join(self.output, "intermediate")
        self.failure = os.path.join(self.output, "failure")
        self.success = os.path.join(self.output, "success")

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Paths:
        """The tree this process was given."""
        environ = os.environ if environ is None else environ
        return cls(environ.get("SAGEMAKER_BASE_DIR") or DEFAULT_BASE)

    def config_file(self, name: str) -> str:
        """`hyperparameters`, `inputdataconfig` or `resourceconfig` as the path of its file."""
        return os.path.join(self.input_config, name + ".json")

    def channel(self, name: str) -> str:
        """The folder of a channel, also in Pipe mode (the toolkits do not look at the mode)."""
        return os.path.join(self.input_data, name)
