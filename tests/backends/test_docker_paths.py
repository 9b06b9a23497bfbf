"""Data in and out: shown where the engine sees our folders, copied where it does not."""

from __future__ import annotations

import json
import os
import socket
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backends.stages import DockerStage
from daemons import Daemon, daemon, why_none
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.backends.base import Mount, Run
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.surroundings import HostSight, NoSight, look
from sagedock.errors import RunFailedToStart

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
INNER = """
import json, sys
from pathlib import Path
from backends.stages import DockerStage
from backends.test_docker_paths import answer
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
engine, folder = Engine.connect(), Path(sys.argv[1])
stage = DockerStage(folder, DockerBackend(engine, folder))
(stage.ml / 'in').write_text('from the emulator')
play = stage.play().does("print(open(ml + '/in').read())").writes('model/out', b'from the run')
run = stage.start(play)
said = [line.text for line in run.lines()]
served = stage.start(stage.play().serves(), ports=(8080,))
told = {
    'sight': type(stage.backend._seen).__name__,
    'said': said, 'code': run.wait(600), 'model': (stage.model / 'out').read_text(),
    'answer': answer(served, b'ping').decode(),
}
stage.backend.clean(frozenset())
print(json.dumps(told))
"""


def answer(run: Run, body: bytes) -> bytes:
    """What the run's server answers, once it does."""
    host, port = run.address(8080)
    request = urllib.request.Request(f"http://{host}:{port}/invocations", data=body)

    def ask() -> bytes | None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answered:
                return bytes(answered.read())
        except (urllib.error.URLError, OSError):
            return None

    said = wait_for(ask, lambda found: found is not None)
    assert isinstance(said, bytes)
    return said


# --- on the engine's machine -------------------------------------------------------------------


def test_on_the_engine_s_machine_folders_are_shown(docker_stage: DockerStage) -> None:
    engine = docker_stage.engine
    assert isinstance(look(engine, None, docker_stage.folder, docker_stage.image), HostSight)
    assert list(docker_stage.folder.glob(".probe-*")) == []


def test_a_mount_that_is_read_only_is(docker_stage: DockerStage) -> None:
    play = docker_stage.play().does("open('/opt/ml/model/x', 'w')")
    spec = docker_stage.spec(play)
    mounts = (spec.mounts[0], Mount(docker_stage.model, "/opt/ml/model", True))
    run = docker_stage.start(play, mounts=mounts, workdir=spec.workdir, entrypoint=spec.entrypoint)
    assert "Read-only file system" in "".join(line.text for line in run.lines())
    assert run.wait(PATIENCE) == 1


def test_a_folder_behind_a_link_and_with_a_colon_is_shown(docker_stage: DockerStage) -> None:
    odd = docker_stage.folder / "a:b c,d"
    odd.mkdir()
    (odd / "file").write_text("seen")
    (docker_stage.folder / "link").symlink_to(odd)
    play = docker_stage.play().does("print(open('/odd/file').read())")
    spec = docker_stage.spec(play)
    mounts = (*spec.mounts, Mount(docker_stage.folder / "link", "/odd"))
    run = docker_stage.start(play, mounts=mounts, workdir=spec.workdir, entrypoint=spec.entrypoint)
    assert [line.text for line in run.lines()] == ["seen"]


# --- in a container ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "sight"),
    [("/state/home", "SiblingSight"), ("/data/home", "SiblingSight"), ("/own/home", "NoSight")],
    ids=["volume", "bind", "own-layer"],
)
def test_an_emulator_in_a_container_hands_its_own_mounts_on(
    mortal: Daemon, tmp_path: Path, folder: str, sight: str
) -> None:
    told = inside(mortal, tmp_path, folder)
    assert told == {
        "sight": sight,
        "said": ["from the emulator"],
        "code": 0,
        "model": "from the run",
        "answer": "ping",
    }


def inside(mortal: Daemon, tmp_path: Path, folder: str) -> dict[str, Any]:
    """What INNER tells from within a container with a volume at /state, a folder of ours at /data,
    and this Python's packages."""
    packages = sysconfig.get_paths()["purelib"]
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the image's Python is 3.11, and takes the packages of this one")
    volume = mortal.engine.client.volumes.create()
    places = {
        str(mortal.socket): "/var/run/docker.sock",
        str(ROOT): "/code",
        packages: "/packages",
        str(tmp_path): "/data",
        str(volume.name): "/state",
    }
    box = mortal.engine.client.containers.create(
        DockerStage.image,
        ["python3", "-c", INNER, folder],
        volumes={outside: {"bind": place, "mode": "rw"} for outside, place in places.items()},
        environment={"PYTHONPATH": "/code/runtime:/code/tests:/packages"},
    )
    try:
        box.start()
        code = box.wait(timeout=600)["StatusCode"]
        assert code == 0, box.logs().decode()
        told: dict[str, Any] = json.loads(box.logs(stderr=False))
        return told
    finally:
        box.remove(force=True)
        volume.remove()


# --- on another machine ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def far(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An engine that does not see our folders, and is reached over a network."""
    if why_none():
        pytest.skip(why_none())
    with daemon(hidden=tmp_path_factory.mktemp("hidden")) as made:
        made.load(engine, DockerStage.image)
        yield made


@pytest.fixture
def far_stage(far: Daemon) -> Iterator[DockerStage]:
    assert far.hidden is not None
    with closing(Engine.connect(far.remote)) as remote:
        folder = far.hidden / f"home-{os.urandom(4).hex()}"
        stage = DockerStage(folder, DockerBackend(remote, folder))
        stage.engine = remote
        yield stage
        stage.backend.clean(frozenset())
        assert remote.client.volumes.list() == []


def test_another_machine_s_engine_does_not_see_our_folders(far_stage: DockerStage) -> None:
    assert far_stage.engine.is_remote
    seen = look(far_stage.engine, None, far_stage.folder, far_stage.image)
    assert isinstance(seen, NoSight)


def test_data_goes_there_and_what_the_run_writes_comes_back(far_stage: DockerStage) -> None:
    data = far_stage.ml / "input" / "data"
    data.mkdir(parents=True)
    for number in range(1000):
        (data / f"{number}.txt").write_text(str(number))
    ml = far_stage.ml
    play = far_stage.play().does(
        "names = os.listdir(ml + '/input/data')\n"
        "print(sum(int(open(f'{ml}/input/data/{name}').read()) for name in names))\n"
        "os.makedirs(ml + '/output/data')\n"
        "open(ml + '/input/data/0.txt', 'w').write('changed')"
    )
    play = play.writes("model/weights", b"w" * 100_000).writes("output/failure", b"no luck")
    run = far_stage.start(play.exits(1))
    assert [line.text for line in run.lines()] == [str(sum(range(1000)))]
    assert run.wait(PATIENCE) == 1
    assert (far_stage.model / "weights").read_bytes() == b"w" * 100_000
    assert (ml / "output/failure").read_text() == "no luck"
    assert (ml / "output/data").is_dir()
    assert (data / "0.txt").read_text() == "0", "input is not brought back"


def test_what_it_wrote_comes_back_also_after_a_restart(far_stage: DockerStage) -> None:
    ml = far_stage.ml
    run = far_stage.start(far_stage.play().prints("on").writes("late", b"kept").exits(0))
    run.wait(PATIENCE)
    (ml / "late").unlink()
    found = far_stage.restarted().find(run.id)
    assert found is not None
    assert found.wait(PATIENCE) == 0
    assert (ml / "late").read_bytes() == b"kept"


def test_links_that_lead_outside_do_not_come_back(far_stage: DockerStage) -> None:
    ml = far_stage.ml
    links = "os.symlink('/etc/passwd', ml + '/bad'); os.symlink('inner', ml + '/good')"
    run = far_stage.start(far_stage.play().writes("inner", b"i").does(links))
    assert run.wait(PATIENCE) == 0
    assert not (ml / "bad").is_symlink()
    assert (ml / "good").read_bytes() == b"i"


def test_data_that_cannot_be_read_whole_is_a_reason_not_to_start(
    far_stage: DockerStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "tar"
    broken.write_text('#!/bin/sh\n/bin/tar "$@"\nexit 2\n')
    broken.chmod(0o755)
    spec = far_stage.spec(far_stage.play())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RunFailedToStart, match="tar could not read all of"):
        far_stage.backend.start(spec)


@pytest.mark.parametrize("isolated", [False, True], ids=["published", "isolated"])
def test_a_server_there_answers_here(far: Daemon, far_stage: DockerStage, isolated: bool) -> None:
    play = far_stage.play().serves()
    run = far_stage.start(play, ports=(8080,), command=("serve",), isolated=isolated)
    assert run.address(8080)[0] == ("127.0.0.1" if isolated else far.host)
    assert answer(run, b"hello") == b"hello"


def test_two_servers_there_have_ports_of_their_own(far_stage: DockerStage) -> None:
    runs = [far_stage.start(far_stage.play().serves(), ports=(8080,)) for _ in range(2)]
    assert len({run.address(8080) for run in runs}) == 2
    assert [answer(run, b"x") for run in runs] == [b"x", b"x"]


def test_a_run_there_reaches_us_here(far: Daemon, far_stage: DockerStage) -> None:
    assert far_stage.backend.host_address() == far.ours
    with socket.create_server(("0.0.0.0", 0)) as listening:
        where = (far_stage.backend.host_address(), listening.getsockname()[1])
        connects = f"import socket; socket.create_connection({where!r}, 10).close()"
        run = far_stage.start(far_stage.play().does(connects))
        assert run.wait(PATIENCE) == 0
