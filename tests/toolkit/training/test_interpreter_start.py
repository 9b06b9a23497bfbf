"""What happens in every Python of a job, and that it happens only where it is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TOOLKIT

VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12")


def python(site: Path, code: str, interpreter: str = sys.executable, **env: str) -> str:
    """What `code` prints, in a Python that starts as one of a job; stderr is in it."""
    ended = subprocess.run(
        [interpreter, "-c", code],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(site),
            "SAGEDOCK_TOOLKIT_START": "1",
            **env,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.stdout.strip()


def interpreters() -> dict[str, str]:
    """Every Python that the toolkit is for and that this machine has, on PATH or under pyenv."""
    found = {}
    for version in VERSIONS:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = str(pyenv[-1]) if pyenv else shutil.which(f"python{version}")
        if path:
            found[version] = path
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_imports_on(version: str, site: Path) -> None:
    interpreter = interpreters().get(version)
    if interpreter is None:
        pytest.skip(f"there is no Python {version} here")
    names = [
        path.relative_to(TOOLKIT).with_suffix("").as_posix().replace("/", ".")
        for path in sorted((TOOLKIT / "sagedock_toolkit").rglob("*.py"))
        if path.stem not in {"__main__", "__init__"}
    ]
    code = f"""
import importlib
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert error.name == "numpy", (name, error)
print("all")
"""
    assert python(site, code, interpreter) == "all"


def test_a_process_without_mxnet_loads_nothing_of_ours_but_the_watch(site: Path) -> None:
    code = (
        "import sys; print(sorted(m for m in sys.modules if m.startswith(('sagedock', 'mxnet'))))"
    )
    assert python(site, code) == "['sagedock_toolkit', 'sagedock_toolkit.interpreter_start']"
    assert python(site, code, SAGEDOCK_TOOLKIT_START="") == "[]"


def test_aws_helpers_are_found_where_they_are_not_installed(site: Path) -> None:
    code = """
from container_support.serving import UnsupportedContentTypeError
from sagemaker_mxnet_container.training_utils import scheduler_host
print(UnsupportedContentTypeError("a/b"), scheduler_host(["algo-2", "algo-1"]))
"""
    assert python(site, code) == "('Requested unsupported ContentType: a/b', 'a/b') algo-2"


def test_a_real_package_wins_over_a_stand_in(site: Path, tmp_path: Path) -> None:
    (tmp_path / "container_support.py").write_text("real = True\n")
    code = "import container_support; print(container_support.real)"
    assert python(site, code, PYTHONPATH=f"{site}:{tmp_path}") == "True"


def test_distutils_on_python_3_12(site: Path) -> None:
    interpreter = interpreters().get("3.12")
    if interpreter is None:
        pytest.skip("there is no Python 3.12 here")
    code = """
from distutils.version import LooseVersion, StrictVersion
from distutils.util import strtobool
print(LooseVersion("1.10.0") > "1.9.1", StrictVersion("1.2") < StrictVersion("1.2.1"),
      StrictVersion("1.2a1") < "1.2", strtobool("True"), LooseVersion("1.2") == LooseVersion("1.2"))
"""
    assert python(site, code, interpreter) == "True True True 1 True"


def test_names_of_hosts_resolve(site: Path) -> None:
    hosts = json.dumps({"algo-1": "127.0.0.1", "algo-2": "127.0.0.3"})
    code = """
import socket
print(socket.gethostbyname("algo-2"), socket.getaddrinfo("algo-1", 80)[0][4][0])
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
with socket.create_connection(("algo-1", port)), socket.socket() as client:
    client.connect(("algo-1", port))
    print(client.getpeername()[0], socket.gethostbyname("127.0.0.9"))
"""
    told = python(site, code, SAGEDOCK_HOSTS=hosts)
    assert told == "127.0.0.3 127.0.0.1\n127.0.0.1 127.0.0.9"


@pytest.mark.parametrize(("gpus", "device_type"), [(0, 1), (2, 2)])
def test_a_watched_module_is_as_it_would_be_but_for_the_missing_gpu(
    site: Path, tmp_path: Path, gpus: int, device_type: int
) -> None:
    package = tmp_path / "mxnet"
    package.mkdir()
    (package / "__init__.py").write_text("from . import context\n")
    (package / "context.py").write_text(
        "class Context:\n    devstr2type = {'cpu': 1, 'gpu': 2}\n"
        f"def num_gpus():\n    return {gpus}\n"
    )
    (tmp_path / "numpy.py").write_text("__version__ = '1.26.4'\n")
    code = """
import mxnet, numpy
types = mxnet.context.Context.devstr2type
print(types["gpu"], types["gpu"], types["cpu"], numpy.bool)
print(type(mxnet.__loader__).__name__, vars(mxnet.__loader__).get("exec_module"))
"""
    told = python(site, code, PYTHONPATH=f"{site}:{tmp_path}").splitlines()
    warnings = [line for line in told if line.startswith("sagedock WARNING: this script asks")]
    assert len(warnings) == (0 if gpus else 1)
    assert told[-2:] == [f"{device_type} {device_type} 1 <class 'bool'>", "SourceFileLoader None"]
