"""Jobs that need MXNet itself: set SAGEDOCK_TEST_MXNET_PYTHON to an interpreter that has it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Callable

import pytest

from .conftest import Ended, Job

pytestmark = pytest.mark.mxnet

GPU_USER = """
import mxnet as mx
from mxnet import gpu
def train():
    x = mx.nd.ones((2,), ctx=mx.gpu(1)) + mx.nd.ones((2,), ctx=mx.Context("gpu", 1))
    contexts = [str(x.context), str(gpu()), mx.context.num_gpus()]
    print("got", int(contexts == ["cpu(1)", "cpu(0)", 0]))
if __name__ == "__main__":
    train()
"""

USES_STORE = """
import mxnet as mx
def train(hyperparameters=None):
    store = mx.kv.create("dist_sync")
    print("got", store.num_workers)
if __name__ == "__main__":
    train()
"""


@pytest.mark.parametrize("version", ["1.2.1", "1.9.0"])
def test_a_script_that_asks_for_a_gpu_runs_on_the_cpu_with_one_warning(
    new_job: Callable[..., Job], mxnet_python: str, version: str
) -> None:
    job = new_job(version=version, python=mxnet_python)
    ended = job.run(entry_py=GPU_USER)
    assert ended.said("got") == 1
    assert ended.log.count("sagedock WARNING: this script asks for a GPU") == 1


def test_strict_leaves_mxnets_own_error(script: Job, mxnet_python: str) -> None:
    script.python = mxnet_python
    script.env["SAGEDOCK_GPU"] = "strict"
    ended = script.run(entry_py=GPU_USER)
    assert ended.code == 1
    assert "MXNetError" in ended.failure
    assert "sagedock WARNING" not in ended.log


def test_a_distributed_store_on_one_host_finds_its_servers(legacy: Job, mxnet_python: str) -> None:
    legacy.python = mxnet_python
    legacy.env["SAGEDOCK_PS_PORT"] = str(_free_port())
    ended = legacy.run(entry_py=USES_STORE)
    assert ended.said("got") == 1
    assert ended.succeeded
    assert not _processes_of(legacy)


@pytest.mark.parametrize("version", ["1.2.1", "1.9.0"])
def test_two_hosts_share_a_distributed_store(
    new_job: Callable[..., Job], mxnet_python: str, version: str
) -> None:
    hosts = {"algo-1": "127.0.0.2", "algo-2": "127.0.0.3"}
    port = str(_free_port())
    jobs = [new_job(name, version=version, python=mxnet_python) for name in hosts]
    started = []
    for name, job in zip(hosts, jobs, strict=True):
        job.configure("resourceconfig", {"current_host": name, "hosts": list(hosts)})
        job.hyperparameters(sagemaker_parameter_server_enabled=True)
        job.env.update(SAGEDOCK_HOSTS=json.dumps(hosts), SAGEDOCK_PS_PORT=port)
        job.source(entry_py=USES_STORE)
        started.append(job.start())
    for job, process in zip(jobs, started, strict=True):
        log, _ = process.communicate(timeout=120)
        assert Ended(process.returncode, log, job.base).said("got") == 2
        assert not _processes_of(job)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processes_of(job: Job) -> list[str]:
    """Parameter-server processes of this job that are still there."""
    told = subprocess.run(
        ["ps", "eww", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True
    )
    marked = re.escape(f"SAGEMAKER_BASE_DIR={job.base} ")
    return [x for x in told.stdout.splitlines() if "import mxnet" in x and re.search(marked, x)]
