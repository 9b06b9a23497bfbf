"""The engine is stopped, killed, and comes back, while runs are on it."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.byo import containers_of
from backends.stages import DockerStage
from daemons import Daemon
from requests_as_sdks_send import PATIENCE
from sagedock.backends.base import Run
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.runs import DockerRun

pytestmark = pytest.mark.docker

STOPPED = "the Docker engine was stopped while it ran, and ended it"
COUNTS = """
number = 0
while not os.path.exists(ml + '/go'):
    print(number, flush=True)
    number += 1
    time.sleep(0.01)
print('over', number, flush=True)
"""


@pytest.fixture
def stage(mortal: Daemon, tmp_path: Path) -> Iterator[DockerStage]:
    """On an engine that ends its containers when it is stopped."""
    yield from staged(mortal, tmp_path, live_restore=False)


@pytest.fixture
def patient_stage(mortal: Daemon, tmp_path: Path) -> Iterator[DockerStage]:
    """On an engine that leaves its containers running when it is stopped."""
    yield from staged(mortal, tmp_path, live_restore=True)


def staged(mortal: Daemon, folder: Path, live_restore: bool) -> Iterator[DockerStage]:
    mortal.stop()
    mortal.start(**{"live-restore": live_restore})
    engine = Engine.connect(f"unix://{mortal.socket}")
    stage = DockerStage(folder, DockerBackend(engine, folder))
    stage.engine = engine
    yield stage
    stage.backend.clean(frozenset())
    engine.close()


def restart(mortal: Daemon, number: signal.Signals = signal.SIGTERM) -> None:
    mortal.stop(number)
    mortal.start()


class Reader:
    """Reads a run's lines in a thread of its own, from now on."""

    def __init__(self, run: Run) -> None:
        self.said: list[str] = []
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(run,), daemon=True)
        self._thread.start()
        assert self._first.wait(PATIENCE)

    def _read(self, run: Run) -> None:
        for line in run.lines():
            self.said.append(line.text)
            self._first.set()

    def all(self) -> list[str]:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the lines have an end"
        return self.said


def assert_counted(said: list[str]) -> None:
    """Every number once, in order."""
    numbers = [line for line in said if not line.startswith("over")]
    assert numbers == [str(number) for number in range(len(numbers))]


def assert_read_once(said: list[str], run: Run) -> None:
    """What was read while the engine came and went is what one reads afterwards, each number once
    and in order. What the engine had taken from the run and not yet written when it was killed, it
    has lost itself."""
    assert said == [line.text for line in run.lines()]
    numbers = [int(line) for line in said if not line.startswith("over")]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 1


# --- it ends what it runs ----------------------------------------------------------------------

DIES = "pass"
# os.write, since print in a handler that interrupts a print is refused as a reentrant call.
SAVES = r"signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saved\n'), os._exit(0)))"
FAILS = r"signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'failed\n'), os._exit(1)))"


@pytest.mark.parametrize("answer", [DIES, SAVES, FAILS], ids=["dies", "saves", "fails"])
def test_a_run_that_the_engine_ended_with_itself_is_lost_and_told_so(
    mortal: Daemon, stage: DockerStage, answer: str
) -> None:
    run = stage.start(stage.play().does(answer).does(COUNTS))
    reader = Reader(run)
    restart(mortal)
    assert run.wait(PATIENCE) is None
    assert run.lost
    assert run.remark == STOPPED
    assert_counted([line for line in reader.all() if line not in ("saved", "failed")])


def test_it_is_told_so_where_nobody_looked_before_the_engine_was_back(
    mortal: Daemon, stage: DockerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own thread has its turn late on a busy machine."""
    restarted, looks = threading.Event(), DockerRun._await_end

    def late(run: DockerRun) -> None:
        assert restarted.wait(PATIENCE)
        looks(run)

    monkeypatch.setattr(DockerRun, "_await_end", late)
    run = stage.start(stage.play().does(SAVES).does(COUNTS))
    Reader(run)
    restart(mortal)
    restarted.set()
    assert run.wait(PATIENCE) is None
    assert run.remark == STOPPED


@pytest.mark.parametrize("answer", [DIES, SAVES], ids=["dies", "saves"])
def test_it_is_told_so_too_where_a_service_manager_holds_the_socket(
    mortal: Daemon, tmp_path: Path, answer: str
) -> None:
    mortal.stop()
    mortal.hold_socket()
    try:
        for stage in staged(mortal, tmp_path, live_restore=False):
            run = stage.start(stage.play().does(answer).does(COUNTS))
            reader = Reader(run)
            restart(mortal)
            assert (run.wait(PATIENCE), run.remark) == (None, STOPPED)
            assert_counted([line for line in reader.all() if line != "saved"])
    finally:
        mortal.let_go_of_socket()


@pytest.mark.slow
def test_a_run_that_ignored_the_engine_s_end_and_was_killed_is_lost_too(
    mortal: Daemon, stage: DockerStage
) -> None:
    run = stage.start(stage.play().ignores_sigterm().does(COUNTS))
    reader = Reader(run)
    restart(mortal)
    assert run.wait(PATIENCE) is None
    assert run.remark == STOPPED
    assert_counted(reader.all())


def test_a_run_whose_engine_was_killed_is_ended_when_it_is_back_and_lost(
    mortal: Daemon, stage: DockerStage
) -> None:
    run = stage.start(stage.play().does(COUNTS))
    reader = Reader(run)
    restart(mortal, signal.SIGKILL)
    assert run.wait(PATIENCE) is None
    assert run.remark == STOPPED
    assert_read_once(reader.all(), run)


@pytest.mark.parametrize("code", [0, 1, 137])
def test_what_ended_before_the_engine_did_keeps_its_own_code(
    mortal: Daemon, stage: DockerStage, code: int
) -> None:
    run = stage.start(stage.play().prints("said").exits(code))
    assert run.wait(PATIENCE) == code
    restart(mortal)
    assert (run.wait(0), run.lost, run.remark) == (code, False, "")
    assert [line.text for line in run.lines()] == ["said"]
    found = DockerBackend(stage.engine, stage.folder).find(run.id)
    assert found is not None
    assert found.wait(PATIENCE) == code
    run.close()


def test_an_engine_that_stays_away_loses_its_runs(mortal: Daemon, stage: DockerStage) -> None:
    stage.engine.patience_seconds = 1.0
    run = stage.start(stage.play().does(COUNTS))
    reader = Reader(run)
    mortal.stop(signal.SIGKILL)
    try:
        assert run.wait(PATIENCE) is None
        assert run.lost
        assert "went away while it ran, and did not come back within 1 s" in run.remark
        assert_counted(reader.all())
    finally:
        mortal.start()


def test_a_run_begun_after_the_engine_is_back_is_as_any(mortal: Daemon, stage: DockerStage) -> None:
    restart(mortal)
    run = stage.start(stage.play().prints("fresh").exits(3))
    assert [line.text for line in run.lines()] == ["fresh"]
    assert run.wait(PATIENCE) == 3


def test_a_start_waits_for_an_engine_that_is_on_its_way(mortal: Daemon, stage: DockerStage) -> None:
    spec = stage.spec(stage.play().prints("late").exits(0))
    stage.backend.check(spec.image)
    mortal.stop()
    starting = threading.Timer(0.5, mortal.start)
    starting.start()
    run = stage.backend.start(spec)
    starting.join()
    assert [line.text for line in run.lines()] == ["late"]


@contextlib.contextmanager
def brittle_way(mortal: Daemon, folder: Path) -> Iterator[tuple[str, list[socket.socket]]]:
    """An address that leads to the engine, and the connections on it, which a test may cut."""
    cut: list[socket.socket] = []
    door = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = door.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(mortal.socket))
                cut.extend((near, far))
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"tcp://127.0.0.1:{door.getsockname()[1]}", cut
    door.close()


@pytest.mark.parametrize("code", [0, 1])
def test_a_way_to_the_engine_that_breaks_is_no_engine_that_stops(
    mortal: Daemon, stage: DockerStage, code: int
) -> None:
    with brittle_way(mortal, stage.folder) as (address, connections):
        engine = Engine.connect(address)
        elsewhere = DockerStage(stage.folder / "elsewhere", stage.backend)
        play = elsewhere.play().does(COUNTS).exits(code)
        started = elsewhere.start(play)
        run = DockerBackend(engine, stage.folder).find(started.id)
        assert run is not None
        reader = Reader(run)
        for connection in connections[:]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert run.wait(1) is None
        play.goes_on()
        assert (run.wait(PATIENCE), run.lost, run.remark) == (code, False, "")
        assert_counted(reader.all())


def test_an_engine_that_answers_late_is_no_engine_that_stops(
    mortal: Daemon, stage: DockerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stage.start(stage.play().prints("x").waits().exits(1))
    next(run.lines())
    late = iter([False, False])
    really = stage.engine.answers
    monkeypatch.setattr(stage.engine, "answers", lambda: next(late, None) is None and really())
    (stage.folder / "run-1/ml/go").touch()
    assert (run.wait(PATIENCE), run.lost, run.remark) == (1, False, "")


# --- it leaves them running --------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_outlives_the_engine_goes_on_and_its_log_is_whole(
    mortal: Daemon, patient_stage: DockerStage, number: signal.Signals
) -> None:
    play = patient_stage.play().does(COUNTS).exits(4)
    run = patient_stage.start(play)
    reader = Reader(run)
    restart(mortal, number)
    assert run.wait(0.2) is None
    assert not run.lost
    play.goes_on()
    assert run.wait(PATIENCE) == 4
    assert run.remark == ""
    said = reader.all()
    assert_read_once(said, run)
    assert said[-1].startswith("over ")


@pytest.mark.parametrize("code", [1, 137])
def test_a_code_of_its_own_after_the_engine_is_back_is_its_own(
    mortal: Daemon, patient_stage: DockerStage, code: int
) -> None:
    play = patient_stage.play().does(COUNTS).exits(code)
    run = patient_stage.start(play)
    Reader(run)
    restart(mortal)
    assert run.wait(3) is None
    play.goes_on()
    assert (run.wait(PATIENCE), run.remark, run.lost) == (code, "", False)


def test_a_stop_is_carried_out_when_the_engine_is_back(
    mortal: Daemon, patient_stage: DockerStage
) -> None:
    run = patient_stage.start(patient_stage.play().does(COUNTS))
    reader = Reader(run)
    mortal.stop()
    starting = threading.Timer(0.5, mortal.start)
    starting.start()
    run.stop(grace_seconds=30)
    starting.join()
    assert (run.wait(0), run.lost, run.remark) == (143, False, "")
    assert_read_once(reader.all(), run)


def test_closing_is_carried_out_when_the_engine_is_back(
    mortal: Daemon, patient_stage: DockerStage
) -> None:
    run = patient_stage.start(patient_stage.play().does(COUNTS))
    Reader(run)
    mortal.stop()
    starting = threading.Timer(0.5, mortal.start)
    starting.start()
    run.close()
    starting.join()
    assert containers_of(patient_stage) == []


def test_the_address_of_a_server_is_asked_for_again(
    mortal: Daemon, patient_stage: DockerStage
) -> None:
    run = patient_stage.start(patient_stage.play().does(COUNTS), ports=(8080,))
    before = run.address(8080)
    mortal.stop()
    starting = threading.Timer(0.5, mortal.start)
    starting.start()
    assert run.address(8080) == before
    starting.join()


def test_a_job_s_network_goes_when_the_engine_is_back(
    mortal: Daemon, patient_stage: DockerStage
) -> None:
    wanted = {"hosts": ("algo-1", "algo-2"), "labels": {"job": "two"}}
    run = patient_stage.start(patient_stage.play().does(COUNTS), **wanted)
    Reader(run)
    mortal.stop()
    starting = threading.Timer(0.5, mortal.start)
    starting.start()
    run.close()
    starting.join()
    networks = patient_stage.engine.client.networks.list(filters={"label": "sagedock.network"})
    assert networks == []
