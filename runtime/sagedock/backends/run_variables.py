"""The environment variables of a process run, built from nothing.

Nothing of the emulator's own environment gets in, least of all AWS credentials of the user's
shell, with one exception: how to reach package indexes, since a script's own `pip install` has to
work as the user configured it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sagedock.backends.base import RunSpec
from sagedock.backends.framework_builds import Framework
from sagedock.backends.package_index import uv_variables
from sagedock.backends.ports import LOOPBACK
from sagedock.backends.process_runs import MARK, OWN_FOLDER
from sagedock.domain.images import ImageReference

OPT_ML = "/opt/ml"
SERVER_PORT = 8080

_INDEX_PREFIXES = ("PIP_", "UV_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Allotted:
    """What the backend gives one run: its mark and ports."""

    mark: str
    ports: Mapping[int, int]
    parameter_server_port: int | None


def run_variables(
    spec: RunSpec, image: ImageReference, framework: Framework, allotted: Allotted
) -> dict[str, str]:
    """All variables of the run but those that are the same for every run of a backend; what the
    spec names itself wins."""
    own_folder = spec.workdir / OWN_FOLDER
    variables = {
        **_basics(own_folder, framework),
        **_package_indexes(os.environ, Path.home()),
        **_own_installs(own_folder, framework),
        **_toolkit(spec, image),
        MARK: allotted.mark,
    }
    if SERVER_PORT in allotted.ports:
        variables["SAGEMAKER_BIND_TO_PORT"] = str(allotted.ports[SERVER_PORT])
        variables["SAGEDOCK_BIND_HOST"] = LOOPBACK
    if allotted.parameter_server_port is not None:
        variables["SAGEDOCK_PS_PORT"] = str(allotted.parameter_server_port)
    return variables


def _basics(own_folder: Path, framework: Framework) -> dict[str, str]:
    return {
        "PATH": f"{framework.bin}:{_SYSTEM_PATH}",
        "VIRTUAL_ENV": str(framework.path),
        "HOME": str(_folder(own_folder / "home")),
        "TMPDIR": str(_folder(own_folder / "tmp")),
        "LANG": "C.UTF-8",
        # As AWS's MXNet images have them (sagemaker-mxnet-container, docker/1.1.0).
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _toolkit(spec: RunSpec, image: ImageReference) -> dict[str, str]:
    told = {
        "SAGEDOCK_TOOLKIT_START": "1",
        "SAGEDOCK_HOSTS": json.dumps(_addresses(spec.hosts)),
        # Stopping signals the whole group: nobody needs to hand SIGTERM on.
        "SAGEDOCK_GROUP_SIGNALS": "1",
    }
    if image.version:
        told["SAGEDOCK_FRAMEWORK_VERSION"] = image.version
    if image.is_python2:
        told["SAGEDOCK_PY2"] = "1"
    return told


def _addresses(hosts: tuple[str, ...]) -> dict[str, str]:
    """Where the hosts of a job reach each other. Several get loopback addresses of their own, as
    hosts in the cloud have, where the system has more than one (Linux: all of 127.0.0.0/8)."""
    if len(hosts) == 1 or sys.platform != "linux":
        return dict.fromkeys(hosts, LOOPBACK)
    return {host: f"127.0.0.{number}" for number, host in enumerate(hosts, start=2)}


def _own_installs(own_folder: Path, framework: Framework) -> dict[str, str]:
    """A script's own `pip install` goes into a folder of this run, never into the environment that
    all runs share. pip resolves as if that were empty, so what the environment has is pinned as
    an upper bound: a new NumPy in front of the environment's would break MXNet."""
    packages = str(_folder(own_folder / "packages"))
    variables = {"PIP_TARGET": packages, "PYTHONPATH": packages}
    if framework.constraints is not None:
        variables["PIP_CONSTRAINT"] = str(framework.constraints)
    return variables


def _package_indexes(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The user's way to package indexes: pip's and uv's settings, proxies, certificates. Files are
    named outright, for the run's HOME is another."""
    kept = {
        name: value
        for name, value in environment.items()
        if name.startswith(_INDEX_PREFIXES) or name in (*_PROXIES, *_CERTIFICATES)
    }
    kept.update(uv_variables(environment, home))
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    for name, file in (
        ("PIP_CONFIG_FILE", config / "pip" / "pip.conf"),
        ("UV_CONFIG_FILE", config / "uv" / "uv.toml"),
    ):
        if name not in kept and file.is_file():
            kept[name] = str(file)
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    kept.setdefault("UV_CACHE_DIR", str(cache / "uv"))
    kept.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    if any(name in kept for name in _PROXIES):
        # The emulator itself is never behind the user's proxy.
        outside = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        kept["no_proxy"] = kept["NO_PROXY"] = ",".join(
            filter(None, (outside, LOOPBACK, "localhost"))
        )
    return kept


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
