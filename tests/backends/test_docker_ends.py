"""How a container ends, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.byo import containers_of
from backends.stages import DockerStage
from requests_as_sdks_send import PATIENCE
from sagedock.backends.base import RunSpec
from sagedock.backends.docker.equipment import Equipment
from sagedock.backends.docker.translation import Sizes

pytestmark = pytest.mark.docker

MIB = 1024**2
LIMIT = 64 * MIB
EATS = f"food = []\nwhile True: food.append(b'x' * {MIB})"
CHILD_EATS = f"""
import subprocess
eater = subprocess.run([sys.executable, '-S', '-c', '''{EATS}'''])
print('the child ended with', eater.returncode, flush=True)
"""


@pytest.fixture
def small_stage(docker_stage: DockerStage, monkeypatch: pytest.MonkeyPatch) -> DockerStage:
    """No instance type is as small as a test wants it."""

    def sizes(_: Equipment, spec: RunSpec) -> Sizes:
        return Sizes(memory=LIMIT)

    monkeypatch.setattr(Equipment, "sizes", sizes)
    return docker_stage


def test_the_end_of_a_run_that_needed_more_than_its_memory_says_so(
    small_stage: DockerStage,
) -> None:
    run = small_stage.start(small_stage.play().prints("eats").does(EATS))
    assert run.wait(PATIENCE) == 137
    assert run.remark == "killed for memory: it needed more than its limit of 0.0625 GiB"
    assert not run.lost


def test_a_child_that_was_killed_for_memory_is_named_when_the_run_fails(
    small_stage: DockerStage,
) -> None:
    run = small_stage.start(small_stage.play().does(CHILD_EATS).exits(3))
    assert [line.text for line in run.lines()] == ["the child ended with -9"]
    assert run.wait(PATIENCE) == 3
    assert run.remark == "one of its processes was killed for memory, at the limit of 0.0625 GiB"


def test_nothing_is_said_of_a_child_s_memory_when_the_run_ends_well(
    small_stage: DockerStage,
) -> None:
    run = small_stage.start(small_stage.play().does(CHILD_EATS).exits(0))
    assert run.wait(PATIENCE) == 0
    assert run.remark == ""


def test_the_remark_is_there_for_who_looks_after_a_restart(small_stage: DockerStage) -> None:
    run = small_stage.start(small_stage.play().does(EATS))
    assert run.wait(PATIENCE) == 137
    found = small_stage.restarted().find(run.id)
    assert found is not None
    assert found.wait(PATIENCE) == 137
    assert found.remark == run.remark


@pytest.mark.parametrize("code", [1, 137, 143])
def test_an_exit_code_of_the_script_s_own_needs_no_remark(
    docker_stage: DockerStage, code: int
) -> None:
    run = docker_stage.start(docker_stage.play().exits(code))
    assert run.wait(PATIENCE) == code
    assert run.remark == ""
    assert not run.lost


def test_a_run_that_kills_itself_ends_with_137_and_no_remark(docker_stage: DockerStage) -> None:
    kills = "import ctypes; os.kill(os.getpid(), signal.SIGKILL)"
    run = docker_stage.start(docker_stage.play().prints("bye").does(kills))
    assert run.wait(PATIENCE) == 137
    assert (run.remark, run.lost) == ("", False)


def test_a_script_that_handles_sigterm_ends_with_its_own_code(docker_stage: DockerStage) -> None:
    handles = r"signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saved\n'), sys.exit(5)))"
    run = docker_stage.start(docker_stage.play().does(handles).prints("ready").waits())
    lines = run.lines()
    assert next(lines).text == "ready"
    run.stop(grace_seconds=30)
    assert run.wait(0) == 5
    assert [line.text for line in lines] == ["saved"]


def test_a_stop_ends_what_the_script_left_in_the_background(docker_stage: DockerStage) -> None:
    forks = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)"
    run = docker_stage.start(docker_stage.play().does(forks).prints("forked").waits())
    next(run.lines())
    run.stop(grace_seconds=30)
    assert run.wait(0) == 143
    assert [line.text for line in run.lines()] == ["forked"]


def test_closing_leaves_no_container_and_no_volume(docker_stage: DockerStage) -> None:
    run = docker_stage.start(docker_stage.play().prints("here").waits())
    next(run.lines())
    run.close()
    run.close()
    assert containers_of(docker_stage) == []
    assert docker_stage.backend.find(run.id) is None


def test_a_run_that_somebody_else_removes_comes_to_its_end(docker_stage: DockerStage) -> None:
    run = docker_stage.start(docker_stage.play().prints("here").waits())
    lines = run.lines()
    next(lines)
    docker_stage.engine.client.api.remove_container(run.id.partition(";")[2], force=True)
    assert run.wait(PATIENCE) in (None, 137), (
        "whether its code could still be asked for is a matter of luck"
    )
    assert list(lines) == []
    run.stop(grace_seconds=5)
    run.close()


def test_a_run_is_not_told_before_its_files_are_there(docker_stage: DockerStage) -> None:
    ml: Path = docker_stage.ml
    run = docker_stage.start(docker_stage.play().writes("top", b"x" * 10_000_000))
    assert run.wait(PATIENCE) == 0
    assert (ml / "top").stat().st_size == 10_000_000
