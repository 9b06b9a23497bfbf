"""A container's log, exact to the line over any number of readers."""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.stages import DockerStage
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.backends.base import Run

pytestmark = pytest.mark.docker

COUNT = 3_000
LONG = 40_000
TALK = f"""
for number in range({COUNT}):
    print('out', number, flush=True)
    print('err', number, file=sys.stderr, flush=True)
    if number % 500 == 250: print('long', number, 'x' * {LONG}, flush=True)
    if number % 50 == 0: time.sleep(0.02)
print('the last', end='', flush=True)
"""
AND_WAITS = "while not os.path.exists(ml + '/go'): time.sleep(0.02)"
READER = """
import json, sys
from pathlib import Path
from sagedock.backends.docker.backend import DockerBackend
from sagedock.backends.docker.engine import Engine
home, run_id, journal = sys.argv[1:]
file = open(journal, 'a+')
file.seek(0)
whole = file.read().rpartition('\\n')[0].splitlines()
run = DockerBackend(Engine.connect(), Path(home)).find(run_id)
for line in run.lines(json.loads(whole[-1])[1] if whole else None):
    file.write(json.dumps([line.text, line.position]) + '\\n')
    file.flush()
"""


def of(word: str, lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(word)]


def assert_whole(lines: list[str]) -> None:
    """Every line of TALK once, in the order of its stream."""
    assert of("out", lines) == [f"out {number}" for number in range(COUNT)]
    assert of("err", lines) == [f"err {number}" for number in range(COUNT)]
    longs = [f"long {number} " + "x" * LONG for number in range(250, COUNT, 500)]
    assert of("long", lines) == longs
    assert of("the last", lines) == ["the last"]
    assert len(lines) == 2 * COUNT + len(longs) + 1


def read_by_dropped_readers(run: Run, seed: int) -> Iterator[str]:
    """All lines, by readers that are dropped after some hundred lines each."""
    sizes, position = random.Random(seed), None
    while True:
        lines = list(itertools.islice(run.lines(position), sizes.randint(1, 400)))
        if not lines:
            return
        yield from (line.text for line in lines)
        position = lines[-1].position


def test_a_reader_that_is_dropped_again_and_again_loses_and_doubles_nothing(
    docker_stage: DockerStage,
) -> None:
    run = docker_stage.start(docker_stage.play().does(TALK))
    while_it_runs = list(read_by_dropped_readers(run, 1))
    afterwards = list(read_by_dropped_readers(run, 2))
    assert_whole(while_it_runs)
    assert_whole(afterwards)


def test_a_reader_killed_with_sigkill_loses_and_doubles_nothing(
    docker_stage: DockerStage, tmp_path: Path
) -> None:
    play = docker_stage.play().does(TALK).does(AND_WAITS)
    run = docker_stage.start(play)
    journal = tmp_path / "journal"
    journal.touch()
    command = [sys.executable, "-c", READER, str(tmp_path), run.id, str(journal)]
    pauses = random.Random(3)
    for _ in range(6):
        size = journal.stat().st_size
        reader = subprocess.Popen(command)
        # Once it has read something, or all: its start may take any time.
        wait_for(functools.partial(has_more, journal, size), bool)
        time.sleep(pauses.uniform(0, 0.3))
        os.kill(reader.pid, signal.SIGKILL)
        assert reader.wait() == -signal.SIGKILL, "the run goes on, and so does a reader"
        drop_what_was_half_written(journal)
    play.goes_on()
    assert subprocess.run(command).returncode == 0
    assert_whole([json.loads(line)[0] for line in journal.read_text().splitlines()])


def has_more(journal: Path, size: int) -> bool:
    """Than `size`; or all but the last line, which has no end before the run has."""
    read = journal.read_text()
    ends = (f'"out {COUNT - 1}"', f'"err {COUNT - 1}"')
    return len(read) > size or all(end in read for end in ends)


def drop_what_was_half_written(journal: Path) -> None:
    if journal.exists():
        whole, newline, _ = journal.read_bytes().rpartition(b"\n")
        journal.write_bytes(whole + newline)


def test_two_readers_at_once_do_not_disturb_each_other(docker_stage: DockerStage) -> None:
    run = docker_stage.start(docker_stage.play().prints(*map(str, range(300))))
    pairs = zip(run.lines(), run.lines(), strict=True)
    said = [(one.text, other.text) for one, other in pairs]
    assert said == [(str(number), str(number)) for number in range(300)]


def test_a_reader_of_a_container_that_was_removed_comes_to_an_end(
    docker_stage: DockerStage,
) -> None:
    run = docker_stage.start(docker_stage.play().prints("said").prints("begun", end="").waits())
    lines = run.lines()
    assert next(lines).text == "said"
    run.close()
    assert [line.text for line in lines] in ([], ["begun"])
    assert list(run.lines()) == []


def test_a_log_that_the_engine_cannot_read_is_given_up(
    docker_stage: DockerStage, caplog: pytest.LogCaptureFixture
) -> None:
    run = docker_stage.start(docker_stage.play().prints("said"))
    assert run.wait(PATIENCE) == 0
    container = run.id.partition(";")[2]
    log = Path(docker_stage.engine.client.api.inspect_container(container)["LogPath"])
    if not log.exists():
        pytest.skip("the engine's files are not on this machine")
    log.unlink()
    log.mkdir()
    assert list(run.lines()) == []
    assert "cannot be read to its end" in caplog.text


def test_a_container_that_says_nothing_for_long_is_followed_on(
    docker_stage: DockerStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagedock.backends.docker.runs._SILENT_SECONDS", 0.2)
    play = docker_stage.play().prints("one").prints("begun, ", end="").does("time.sleep(1)")
    run = docker_stage.start(play.prints("and ended").does("time.sleep(1)").exits(3))
    assert [line.text for line in run.lines()] == ["one", "begun, and ended"]
    assert (run.wait(PATIENCE), run.lost) == (3, False)
