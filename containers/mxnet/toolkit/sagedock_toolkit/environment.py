"""What the container was told: configuration files, framework version, devices, hosts.

Both generations read the same three files of /opt/ml/input/config; they differ in how they decode
hyperparameters (`decode_strictly`, `decode_leniently`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from sagedock_toolkit.paths import Paths

TUNING_OBJECTIVE = "_tuning_objective_metric"
"""The tuning service gives this one hyperparameter as a bare name, which is no JSON."""


class Configuration:
    """The three files of input/config as they are written, and what follows from them at once."""

    def __init__(
        self,
        paths: Paths,
        hyperparameters: dict[str, str],
        input_data_config: dict[str, Any],
        resource_config: dict[str, Any],
    ) -> None:
        self.paths = paths
        self.hyperparameters = hyperparameters
        self.input_data_config = input_data_config
        self.resource_config = resource_config

    @classmethod
    def read(cls, paths: Paths) -> Configuration:
        """Read all three. Raises OSError for a missing file and ValueError for one that is no JSON,
        as AWS's libraries do: both end the job before user code runs."""
        return cls(
            paths,
            _read_json(paths.config_file("hyperparameters")),
            _read_json(paths.config_file("inputdataconfig")),
            _read_json(paths.config_file("resourceconfig")),
        )

    @property
    def current_host(self) -> str:
        return str(self.resource_config["current_host"])

    @property
    def hosts(self) -> list[str]:
        """In the file's order, which the service sorts as text (algo-10 before algo-2)."""
        return list(self.resource_config["hosts"])

    @property
    def channels(self) -> list[str]:
        return sorted(self.input_data_config)

    def setting(self, name: str, default: Any = None) -> Any:
        """One hyperparameter, decoded leniently: for `sagemaker_*` settings of ours to read."""
        return decode_value(self.hyperparameters[name]) if name in self.hyperparameters else default


def _read_json(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        try:
            value = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is not a JSON object")
    return value


def decode_strictly(raw: Mapping[str, str]) -> dict[str, Any]:
    """Legacy decoding: every value is JSON or the job fails (container support, environment.py).

    Only the tuning objective is left as it is, without the double quotes around it.
    Raises ValueError naming the hyperparameter.
    """
    decoded: dict[str, Any] = {}
    for name, text in raw.items():
        if name == TUNING_OBJECTIVE:
            quoted = len(text) > 1 and text.startswith('"') and text.endswith('"')
            decoded[name] = text[1:-1] if quoted else text
            continue
        try:
            decoded[name] = json.loads(text)
        except ValueError as error:
            raise ValueError(
                f"hyperparameter {name!r} is {text!r}, which is not JSON ({error}). "
                "The SageMaker SDK encodes values itself; sent by other means, a string needs "
                f"its own quotes: {json.dumps(text)!r}"
            ) from error
    return decoded


def decode_leniently(raw: Mapping[str, str]) -> dict[str, Any]:
    """Script mode's decoding: JSON where it is JSON, else the text itself."""
    return {name: decode_value(text) for name, text in raw.items()}


def decode_value(text: Any) -> Any:
    """One value as script mode decodes it."""
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return text


def framework_version(environ: Mapping[str, str] | None = None) -> tuple[int, ...] | None:
    """The framework version that was asked for, as numbers: "1.2.1" is (1, 2, 1); None: unknown."""
    environ = os.environ if environ is None else environ
    numbers = re.match(r"\d+(\.\d+)*", environ.get("SAGEDOCK_FRAMEWORK_VERSION", "").strip())
    return tuple(int(n) for n in numbers.group().split(".")) if numbers else None


def num_cpus() -> int:
    """multiprocessing.cpu_count(), which is os.cpu_count() with its import."""
    return os.cpu_count() or 1


def num_gpus() -> int:
    """Lines of `nvidia-smi --list-gpus` that begin with "GPU "; 0 when it cannot be run.

    Both generations count so, and for both any error means no GPU.
    """
    import shutil

    if shutil.which("nvidia-smi") is None:
        return 0
    import subprocess

    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    lines = listed.stdout.decode("utf-8", "replace").splitlines()
    return sum(line.startswith("GPU ") for line in lines) if listed.returncode == 0 else 0


def host_overrides(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """SAGEDOCK_HOSTS: addresses of the job's hosts by name, where no resolver knows them."""
    environ = os.environ if environ is None else environ
    text = environ.get("SAGEDOCK_HOSTS", "")
    return dict(json.loads(text)) if text else {}


def log_level(value: Any, default: int = 20) -> int:
    """A logging level given as number or text; `default` (INFO) when it is neither."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
