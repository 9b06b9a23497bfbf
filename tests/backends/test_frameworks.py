"""Framework environments: built once, whole or not at all, with the toolkit of now."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from requests_as_sdks_send import PATIENCE
from sagedock.backends import frameworks as frameworks_module
from sagedock.backends import interpreters, recipes
from sagedock.backends.base import Mount, RunSpec
from sagedock.backends.frameworks import Frameworks
from sagedock.backends.process import ProcessBackend
from sagedock.backends.recipes import requirements
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.domain.images import MXNET
from sagedock.errors import RunFailedToStart


def run_python(python: Path, code: str) -> str:
    environment = {"SAGEDOCK_TOOLKIT_START": "1", "PATH": "/usr/bin:/bin"}
    command = (python, "-c", code)
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd="/"
    ).stdout.strip()


def test_an_environment_is_built_once_and_told_of(tmp_path: Path) -> None:
    told: list[str] = []
    first = Frameworks(tmp_path).ensure("python", told.append)
    second = Frameworks(tmp_path).ensure("python", told.append)

    assert first == second
    assert first.python.exists()
    assert [line.split(" environment")[0] for line in told if "environment" in line] == [
        "Building the python",
        "The python",
    ]


def test_it_has_the_toolkit_and_what_starts_it(tmp_path: Path) -> None:
    framework = Frameworks(tmp_path).ensure("python", print)

    seen = run_python(framework.python, "import sagedock_toolkit, sys; print(*sys.modules)")

    assert "sagedock_toolkit.interpreter_start" in seen.split()
    assert not list(framework.site_packages.glob("sagedock_toolkit"))


def test_a_build_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    framework = Frameworks(tmp_path).ensure("python", print)
    (framework.path / ".complete").unlink()
    (framework.path / "half").touch()

    assert Frameworks(tmp_path).ready("python") is None
    again = Frameworks(tmp_path).ensure("python", print)

    assert again.is_ready
    assert not (framework.path / "half").exists()


def test_an_interpreter_that_was_uninstalled_makes_it_unready(tmp_path: Path) -> None:
    framework = Frameworks(tmp_path).ensure("python", print)
    framework.python.unlink()
    framework.python.symlink_to(tmp_path / "gone")

    assert Frameworks(tmp_path).ready("python") is None


def test_threads_that_want_it_at_once_build_it_once(tmp_path: Path) -> None:
    told: list[str] = []
    frameworks = [Frameworks(tmp_path) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda own: own.ensure("python", told.append), frameworks))

    assert len([line for line in told if line.startswith("Building")]) == 1


def test_processes_that_want_it_at_once_build_it_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from sagedock.backends.frameworks import Frameworks;"
        "Frameworks(pathlib.Path(sys.argv[1])).ensure('python', print)"
    )
    command = (sys.executable, "-c", code, str(tmp_path))
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = "".join(process.communicate()[0] for process in started)

    assert [process.returncode for process in started] == [0, 0, 0]
    assert said.count("Building") == 1


def test_a_changed_toolkit_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    package = source / "sagedock_toolkit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("word = 'old'")
    (source / "sagedock_toolkit.pth").write_text("import sys; sys.hooked = True\n")
    monkeypatch.setattr(ToolkitSource, "__init__", lambda self: from_folder(self, source))
    frameworks = Frameworks(tmp_path / "environments")
    python = frameworks.ensure("python", print).python
    look = "import sagedock_toolkit, sys; print(sagedock_toolkit.word, sys.hooked)"
    before = run_python(python, look)

    (package / "__init__.py").write_text("word = 'newer'")
    frameworks.ensure("python", print)

    assert (before, run_python(python, look)) == ("old True", "newer True")


def from_folder(source: ToolkitSource, folder: Path) -> None:
    source._package = folder / "sagedock_toolkit"
    source._hook = folder / "sagedock_toolkit.pth"


def test_no_index_is_said_with_uvs_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(RunFailedToStart, match=r"package index .*uv said: .*(mxnet|index)"):
        Frameworks(tmp_path / "environments").ensure("mxnet", print)


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "riscv64")])
def test_where_mxnet_has_no_wheel_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(recipes.platform, "system", lambda: system)
    monkeypatch.setattr(recipes.platform, "machine", lambda: machine)

    with pytest.raises(RunFailedToStart, match=f"never published for {system} on {machine}"):
        Frameworks(tmp_path).ensure("mxnet", print)


def test_without_any_python_it_is_said_which_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frameworks_module, "find_interpreter", lambda version, uv: None)
    monkeypatch.setattr(frameworks_module, "install_interpreter", lambda version, uv: "offline")

    with pytest.raises(RunFailedToStart, match=r"\(offline\)\. Install Python 3\.11\."):
        Frameworks(tmp_path).ensure("python", print)


def test_the_newest_python_that_mxnet_knows_is_preferred() -> None:
    assert MXNET.environment.pythons == ("3.11", "3.10", "3.9", "3.8", "3.12")
    assert "numpy==1.23.5" in requirements(MXNET, "3.8")
    assert "numpy==1.26.4" in requirements(MXNET, "3.12")


def test_an_interpreter_that_does_not_start_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pyenv's shims do for versions that are not selected."""
    shim = tmp_path / "python3.4"
    shim.write_text("#!/bin/sh\necho 'pyenv: python3.4: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert interpreters.find_interpreter("3.4", Frameworks(tmp_path).uv) is None


def test_the_status_names_every_family(tmp_path: Path) -> None:
    frameworks = Frameworks(tmp_path)
    frameworks.ensure("python", print)

    status = {entry.family: entry for entry in frameworks.status()}

    assert status["python"].ready
    assert status["python"].size_bytes > 100_000
    assert not status["mxnet"].ready
    assert status["mxnet"].path.parent == tmp_path


@pytest.mark.mxnet
def test_mxnet_runs_in_its_environment(tmp_path: Path, frameworks: Path) -> None:
    backend = ProcessBackend(tmp_path, frameworks)
    image = "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-training:1.9.0-gpu-py38"
    backend.prepare(image, print)
    (tmp_path / "run" / "ml").mkdir(parents=True)
    code = "import mxnet, numpy; print(mxnet.__version__, mxnet.nd.ones((2, 2)).sum().asscalar())"
    spec = RunSpec(
        name="mxnet",
        image=image,
        command=("train",),
        workdir=tmp_path / "run",
        mounts=(Mount(tmp_path / "run" / "ml", "/opt/ml"),),
        entrypoint=("python", "-c", code),
    )

    run = backend.start(spec)

    assert [line.text for line in run.lines()] == ["1.9.1 4.0"]
    assert run.wait(PATIENCE) == 0


def test_asking_for_what_is_ready_runs_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every start asks: it has to be looks at files."""
    frameworks = Frameworks(tmp_path)
    frameworks.ensure("python", print)
    monkeypatch.setattr(subprocess, "Popen", None)

    assert frameworks.ensure("python", print).is_ready


def test_a_folder_that_cannot_be_used_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RunFailedToStart, match=r"cannot be used.*SAGEDOCK_FRAMEWORKS"):
        Frameworks(tmp_path / "file" / "frameworks").ensure("python", print)
