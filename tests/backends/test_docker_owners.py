"""The emulator is an ordinary user's, and so are the files that its runs leave."""

from __future__ import annotations

import codecs
import contextlib
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backends.stages import DockerStage, ProcessPlay
from daemons import Daemon
from requests_as_sdks_send import PATIENCE
from sagedock.backends.base import Mount, Run, RunSpec
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.local_images import find_image
from sagedock.backends.docker.runs import DockerRun

pytestmark = pytest.mark.docker

UID = GID = 12345
OURS = "sagedock/python:3.11-cpu"
METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
WHO = """
import getpass, pwd
print(os.getuid(), os.getgid(), getpass.getuser(), pwd.getpwuid(os.getuid()).pw_name)
print(os.path.expanduser('~'), os.access(os.path.expanduser('~'), os.W_OK))
"""
WRITES = """
os.makedirs(ml + '/model/deep/er')
open(ml + '/model/deep/er/weights', 'w').write('w')
os.symlink('/etc/passwd', ml + '/model/link')
open(ml + '/failure', 'w').write('f')
os.chmod(ml + '/model/deep', 0o700)
"""


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """This process, until the end of the block."""
    # That user may not be allowed to read the folder of this Python.
    time.strptime("2000", "%Y")
    for name in ("ascii", "latin-1", "idna"):
        codecs.lookup(name)
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(GID, GID, 0)
    os.setresuid(UID, UID, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@pytest.fixture
def stage(mortal: Daemon) -> Iterator[DockerStage]:
    """On an engine whose socket everybody may use, in a folder of that user's."""
    mortal.socket.chmod(0o666)
    folder = Path(tempfile.mkdtemp(prefix="sdt-home-"))
    os.chown(folder, UID, GID)
    engine = Engine.connect(f"unix://{mortal.socket}")
    with as_ordinary_user():
        stage = DockerStage(folder, DockerBackend(engine, folder))
        stage.engine = engine
        yield stage
        stage.backend.clean(frozenset())
    engine.close()
    shutil.rmtree(folder)


@pytest.fixture
def ours(mortal: Daemon, engine: Engine) -> str:
    """An image of ours, as the user of that engine finds it."""
    if find_image(engine, OURS) is None:
        pytest.skip(f"the engine has no image {OURS}: sagedock images build python")
    if find_image(mortal.engine, OURS) is None:
        mortal.load(engine, OURS)
    return "sagedock/python"


def strangers(folder: Path) -> list[str]:
    """What below `folder` is not that user's."""
    found = [Path(where, name) for where, a, b in os.walk(folder) for name in (*a, *b)]
    return [str(path) for path in found if path.lstat().st_uid != UID]


def lines(run: Run) -> list[str]:
    return [line.text for line in run.lines()]


def test_a_run_in_an_image_of_ours_is_that_user(ours: str, stage: DockerStage) -> None:
    run = stage.start(stage.play().does(WHO).does(WRITES), image=ours)
    assert lines(run) == [f"{UID} {GID} sagedock sagedock", "/tmp True"]
    assert run.wait(PATIENCE) == 0
    assert strangers(stage.folder) == []
    assert (stage.folder / "run-1/ml/failure").read_text() == "f"


def test_its_own_pip_install_works(ours: str, stage: DockerStage) -> None:
    wheel = stage.ml / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("tiny.py", "WORD = 'installed'")
        made.writestr("tiny-1.dist-info/METADATA", METADATA)
        made.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr("tiny-1.dist-info/RECORD", "")
    installs = "import subprocess\nsubprocess.run([sys.executable, '-m', 'pip', 'install', '-q', "
    installs += f"'--no-index', '/opt/ml/{wheel.name}'], check=True)\n"
    says = "subprocess.run([sys.executable, '-c', 'import tiny; print(tiny.WORD)'], check=True)"
    run = stage.start(stage.play().does(installs + says), image=ours)
    assert lines(run)[-1] == "installed"
    assert run.wait(PATIENCE) == 0


def in_one_folder(stage: DockerStage, play: ProcessPlay) -> RunSpec:
    """All of /opt/ml in the workdir, as the emulator makes it."""
    spec = stage.spec(play)
    return replace(spec, mounts=(Mount(spec.workdir / "ml", "/opt/ml"),))


def test_what_another_s_image_writes_as_root_is_given_to_that_user(stage: DockerStage) -> None:
    spec = in_one_folder(stage, stage.play().does("print(os.getuid())").does(WRITES))
    run = stage.backend.start(spec)
    assert lines(run) == ["0"]
    assert run.wait(PATIENCE) == 0
    assert strangers(spec.workdir) == []
    assert (spec.workdir / "ml/model/deep/er/weights").read_text() == "w"
    shutil.rmtree(spec.workdir)


def test_it_is_given_also_when_the_end_is_only_seen_after_a_restart(stage: DockerStage) -> None:
    spec = in_one_folder(stage, stage.play().prints("here").waits().does(WRITES))
    run = stage.backend.start(spec)
    next(run.lines())
    forget(run)
    (spec.workdir / "ml" / "go").touch()
    found = stage.restarted().find(run.id)
    assert found is not None
    assert found.wait(PATIENCE) == 0
    assert strangers(spec.workdir) == []


def test_it_is_given_also_when_nobody_wants_the_run_any_more(stage: DockerStage) -> None:
    spec = in_one_folder(stage, stage.play().does(WRITES).prints("written").waits())
    run = stage.backend.start(spec)
    next(run.lines())
    forget(run)
    assert strangers(spec.workdir) != []
    stage.restarted().clean(frozenset())
    assert strangers(spec.workdir) == []
    shutil.rmtree(spec.workdir)


def forget(run: Run) -> None:
    """As a `kill -9` of the emulator: nobody sees the run's end."""
    assert isinstance(run, DockerRun)
    run._settle = lambda _: None


@pytest.fixture
def own_user(stage: DockerStage) -> str:
    """An image that names a user of its own."""
    box = stage.engine.client.containers.create(stage.image, ["true"])
    box.commit("sagedock-test/own-user", "1", changes=["USER 4321"])
    box.remove()
    return "sagedock-test/own-user:1"


def test_a_user_of_the_image_s_own_is_left_as_it_is(stage: DockerStage, own_user: str) -> None:
    spec = in_one_folder(stage, stage.play().does("print(os.getuid())"))
    run = stage.backend.start(replace(spec, image=own_user))
    assert lines(run) == ["4321"]
    assert (run.wait(), run.remark) == (0, "")


@pytest.mark.parametrize("how", ["open(ml + '/model/weights', 'w')", "os.system(f'>{ml}/x')"])
def test_such_a_user_may_not_write_as_in_the_service_and_is_told_why(
    stage: DockerStage, own_user: str, how: str
) -> None:
    spec = in_one_folder(stage, stage.play().does(how).exits(1))
    run = stage.backend.start(replace(spec, image=own_user))
    assert run.wait() == 1
    assert "Permission denied" in "".join(lines(run))
    assert "runs as user 4321" in run.remark
    assert "SageMaker expects containers to run as root" in run.remark


def test_another_failure_of_such_a_user_is_not_explained(stage: DockerStage, own_user: str) -> None:
    play = stage.play().does("open('/etc/shadow')").exits(1)
    run = stage.backend.start(replace(in_one_folder(stage, play), image=own_user))
    assert (run.wait(), run.remark) == (1, "")
