"""What a script-mode script sees: SM_* variables and command-line arguments.

Both are made from the decoded hyperparameters and the configuration files, by the rules of AWS's
training toolkit (3383937: environment.py, mapping.py, params.py), odd ones included.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from sagedock_toolkit.environment import (
    Configuration,
    decode_leniently,
    log_level,
    num_cpus,
    num_gpus,
)
from sagedock_toolkit.user_code import module_name

OURS = frozenset(
    {
        "sagemaker_program",
        "sagemaker_submit_directory",
        "sagemaker_enable_cloudwatch_metrics",
        "sagemaker_region",
        "sagemaker_container_log_level",
        "sagemaker_job_name",
        "default_user_module_name",
        "_tuning_objective_metric",
        "sagemaker_s3_output",
    }
)
"""Hyperparameters for the toolkit alone; others named `sagemaker_*` are the framework's."""

EARLY_LACKS = frozenset(
    {"user_entry_point", "additional_framework_parameters", "output_intermediate_dir"}
)
"""Properties that MXNet 1.3's toolkit (sagemaker-containers 2.2.5) did not have yet."""

RENAMED = {
    "hyperparameters": "HPS",
    "additional_framework_parameters": "FRAMEWORK_PARAMS",
    "channel_input_dirs": None,
    "job_name": None,
    "distribution_hosts": None,
    "master_hostname": None,
    "is_master": None,
    "is_modelparallel_enabled": None,
    "is_smddpmprun_installed": None,
    "is_smddprun_installed": None,
}
"""Properties whose variable has another name, or that have none."""


class TrainingEnvironment:
    """The toolkit's view of the job; `properties` has every public property of AWS's class."""

    def __init__(self, configuration: Configuration, environ: Mapping[str, str]) -> None:
        everything = decode_leniently(configuration.hyperparameters)
        self.settings = {k: v for k, v in everything.items() if k in OURS}
        self.framework = {
            k: v for k, v in everything.items() if k.startswith("sagemaker_") and k not in OURS
        }
        self.hyperparameters = {
            k: v
            for k, v in everything.items()
            if k not in self.settings and k not in self.framework
        }
        self.configuration = configuration
        program = environ.get("SAGEMAKER_PROGRAM") or self.settings.get("sagemaker_program")
        self.program = None if program is None else str(program)
        self.properties = {**self._of_job(environ), **self._of_places(), **self._of_cluster()}

    def _of_job(self, environ: Mapping[str, str]) -> dict[str, Any]:
        named = self.settings.get("sagemaker_job_name") or environ.get("TRAINING_JOB_NAME")
        return {
            "additional_framework_parameters": self.framework,
            "framework_module": environ.get(
                "SAGEMAKER_TRAINING_MODULE", "sagemaker_mxnet_container.training:main"
            ),
            "hyperparameters": self.hyperparameters,
            "input_data_config": self.configuration.input_data_config,
            "job_name": named,
            "log_level": log_level(self.settings.get("sagemaker_container_log_level")),
            "module_name": module_name(self.program) if self.program else None,
            "user_entry_point": self.program,
            "num_cpus": num_cpus(),
            "num_gpus": num_gpus(),
            "num_neurons": 0,
        }

    def _of_places(self) -> dict[str, Any]:
        paths = self.configuration.paths
        return {
            "channel_input_dirs": {n: paths.channel(n) for n in self.configuration.channels},
            "input_config_dir": paths.input_config,
            "input_dir": paths.input,
            "model_dir": paths.model,
            "module_dir": self.settings.get("sagemaker_submit_directory") or paths.code,
            "output_data_dir": paths.output_data,
            "output_dir": paths.output,
            "output_intermediate_dir": paths.output_intermediate,
        }

    def _of_cluster(self) -> dict[str, Any]:
        resources = self.configuration.resource_config
        groups = resources.get("instance_groups", [])
        by_name = {group["instance_group_name"]: group for group in groups}
        current = resources.get("current_group_name", "homogeneousCluster")
        hosts = self.configuration.hosts
        chosen = self.framework.get("sagemaker_distribution_instance_groups", [])
        return {
            "current_host": self.configuration.current_host,
            "current_instance_group": current,
            "current_instance_group_hosts": by_name.get(current, {}).get("hosts", []),
            "current_instance_type": resources.get("current_instance_type", "local"),
            "distribution_hosts": hosts,
            "distribution_instance_groups": chosen,
            "hosts": hosts,
            "instance_groups": list(by_name),
            "instance_groups_dict": by_name,
            "is_hetero": len(by_name) > 1,
            "is_master": self.configuration.current_host == hosts[0],
            "is_modelparallel_enabled": None,
            "is_smddpmprun_installed": False,
            "is_smddprun_installed": False,
            "master_hostname": hosts[0],
            "network_interface_name": resources.get("network_interface_name", "eth0"),
            "resource_config": resources,
            "topology": resources.get("topology"),
        }

    def arguments(self) -> list[str]:
        """The script's command line."""
        return to_arguments(self.hyperparameters)

    def variables(self, is_early: bool = False) -> dict[str, str]:
        """All SM_* variables, and the three that have no such prefix."""
        properties = {
            k: v for k, v in self.properties.items() if not (is_early and k in EARLY_LACKS)
        }
        named: dict[str, Any] = {
            str(RENAMED.get(k, k.upper())): v for k, v in properties.items() if RENAMED.get(k, k)
        }
        if named["TOPOLOGY"] is None:
            del named["TOPOLOGY"]
        named["CHANNELS"] = self.configuration.channels
        named["USER_ARGS"] = self.arguments()
        named["TRAINING_ENV"] = properties
        for name, folder in self.properties["channel_input_dirs"].items():
            named["CHANNEL_" + name.upper()] = folder
        for name, value in self.hyperparameters.items():
            named["HP_" + name.upper()] = value
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return {
            **{"SM_" + name: to_text(value) for name, value in named.items()},
            "SAGEMAKER_JOB_NAME": to_text(self.settings.get("sagemaker_job_name")),
            "SAGEMAKER_REGION": to_text(self.settings.get("sagemaker_region") or region),
            "CURRENT_HOST": self.configuration.current_host,
        }


def to_text(value: Any) -> str:
    """A variable's text: nothing for None, text as it is, else compact JSON with sorted keys."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def to_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """`--name value` for each, sorted by name; `-n value` for names of one character.

    Values are Python's text, not JSON: True, [1, 2]; null is an empty argument; an object is
    `k=v,k2=v2`. There is no form for flags.
    """
    arguments: list[str] = []
    for name in sorted(hyperparameters):
        dashes = "--" if len(name) > 1 else "-" if name else ""
        arguments += [dashes + name, _argument(hyperparameters[name])]
    return arguments


def _argument(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ",".join(f"{key}={value[key]}" for key in sorted(value))
    return str(value)


def shell_line(program: str, arguments: Sequence[str]) -> str:
    """An entry point that is no Python, for `/bin/sh -c`."""
    import shlex

    return " ".join(["./" + program, *map(shlex.quote, arguments)])
