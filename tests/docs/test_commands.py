"""Every command and every Python block of the pages runs.

A page's `sh` fences are run in order by one shell, in a folder and with a home of their own;
`sagedock serve` in the background, as in another terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT, Fence, fences, script

LEFT_OUT = {
    "make demo": "trains for minutes; the demo has tests of its own",
    "make test": "is what runs this test",
    "make lint": "part of `make test`",
    "make types": "part of `make test`",
    "make bench": "measures for a minute, and wants a quiet machine",
    "pip install .": "installs from an index; `make` does it before any test",
    "sagedock check": "reads sagedock.toml, which needs Python 3.11; tests/check runs it",
    "pytest --sagedock-contract sagedock.toml": "the same",
    "sagedock run -- jupyter lab": "a server that ends with its user",
    "sagedock images build mxnet-cpu": "fetches 100 MB; tests/docker builds it",
    "sagedock images build mxnet-cuda": "fetches 2.2 GB",
    "sagedock images build mxnet --base registry.example.com/python:3.11-slim-bookworm": (
        "an example's registry"
    ),
    "docker build -f containers/mxnet/Dockerfile.cpu -t sagedock/mxnet:1.9.1-cpu containers": (
        "needs an engine; tests/docker builds the same file"
    ),
    "sagedock images save bundle.tar.gz mxnet python": "needs an engine; tests/docker does it",
    "sagedock images load bundle.tar.gz": "needs an engine; tests/docker does it",
    "docker build -t my-algo examples/byo-sklearn": "needs an engine; tests/docker does it",
    "sagedock images build python --backend docker": "the same",
    "sagedock check digits.py --request rows.json --backend docker --network-isolation": "the same",
    "sagedock check --image my-algo": "the same",
    "sagedock check --image my-algo --instance-type ml.c7g.xlarge": "the same",
    "sagedock check --image my-algo --channel train=train --request rows.csv": "the same",
}
"""Commands that are on a page and not run here, each with its reason."""

AWS = os.environ.get("SAGEDOCK_TEST_AWS", "")
"""Folder of the program `aws`; without it the AWS CLI's lines are left out. Read now, as below."""

SDKS = {
    "v1": os.environ.get("SAGEDOCK_TEST_SDK_V1"),
    "v2": os.environ.get("SAGEDOCK_TEST_SDK_V2"),
}
"""Pythons that have SageMaker SDK v1 and v2. Read now: a fixture for all tests removes them."""

ELSEWHERE = {"compose", "docker"}
"""Pages whose commands need a Docker engine: tests/docker runs them."""

TO_RUN = [
    page
    for page in PAGES
    if page.stem not in ELSEWHERE and any(fence.language == "sh" for fence in fences(page))
]
PYTHON = [fence for page in PAGES for fence in fences(page) if fence.language == "python"]


def place(fence: Fence) -> str:
    return f"{fence.page.stem}-{fence.line}"


def run(text: str, folder: Path, frameworks: Path) -> subprocess.CompletedProcess[str]:
    """The bash script in `folder`, which looks like a checkout; with the user's way to package
    indexes and Pythons, and none of the user's AWS files."""
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    programs = [str(Path(sys.executable).parent), *([AWS] if AWS else []), os.environ["PATH"]]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(programs),
        "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        "SAGEDOCK_HOME": str(folder / "home"),
        "SAGEDOCK_FRAMEWORKS": str(frameworks),
        "SAGEDOCK_PORT": "0",
    }
    command = ["bash", "-c", text]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("page", TO_RUN, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run_in_their_order(
    page: Path, tmp_path: Path, frameworks: Path
) -> None:
    left_out = dict(LEFT_OUT)
    for command in (command for fence in fences(page) for command in fence.commands):
        if " aws " in f" {command} " and not AWS:
            left_out[command] = "SAGEDOCK_TEST_AWS is not set"
        if "fit.py" in command and any("sdk" in fence.notes for fence in fences(page)):
            left_out[command] = "runs below, where there is a SageMaker SDK"

    ended = run(script(page, tmp_path, left_out), tmp_path, frameworks)

    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


def test_what_a_check_prints_is_on_its_page(tmp_path: Path, frameworks: Path) -> None:
    page, shown = list(fences(ROOT / "docs" / "check.md")), []
    for fence, after in pairwise(page):
        if "file" in fence.notes:
            (tmp_path / fence.notes["file"]).write_text(fence.text, encoding="utf-8")
        if after.language == "text" and "sagedock check" in fence.text:
            ended = run(fence.text, tmp_path, frameworks)
            told, wanted = ended.stdout, f"{after.text}exit code 1\n"
            if "--request" in fence.text:
                # A quick server leaves less to look at.
                told, wanted = (re.sub(r"\d+ of", "… of", text) for text in (told, wanted))
            assert told == wanted, place(fence)
            shown.append(after)
    assert len(shown) == 4


def test_what_is_left_out_stands_on_a_page() -> None:
    shown = {command for page in PAGES for fence in fences(page) for command in fence.commands}
    assert set(LEFT_OUT) <= shown, sorted(set(LEFT_OUT) - shown)


@pytest.mark.parametrize("fence", PYTHON, ids=place)
def test_python_on_a_page_compiles(fence: Fence) -> None:
    compile(fence.text, f"{fence.page.name}:{fence.line}", "exec")


@pytest.mark.sdk
@pytest.mark.slow
@pytest.mark.parametrize("fence", [f for f in PYTHON if "sdk" in f.notes], ids=place)
def test_sdk_code_on_a_page_trains_and_answers(
    fence: Fence, tmp_path: Path, frameworks: Path
) -> None:
    python = SDKS[fence.notes["sdk"]]
    if not python:
        pytest.skip(f"SAGEDOCK_TEST_SDK_{fence.notes['sdk'].upper()} names no Python")
    (tmp_path / "fit.py").write_text(fence.text, encoding="utf-8")
    shutil.copytree(ROOT / "examples" / "cifar10" / "sample", tmp_path / "cifar10-data")

    ended = run(f"sagedock run -- {python} fit.py", tmp_path, frameworks)

    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
