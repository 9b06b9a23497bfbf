"""What every backend fulfils (`sagedock.backends.base`), whatever it runs code in."""

from __future__ import annotations

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.stages import Stage
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.backends.base import Run
from sagedock.errors import ImageNotFound

LIMIT = 256 * 1024


def texts(run: Run) -> list[str]:
    return [line.text for line in run.lines()]


def test_lines_come_in_order_and_end_with_the_run(stage: Stage) -> None:
    run = stage.start(stage.play().prints("one", "", "three").exits(0))

    assert texts(run) == ["one", "", "three"]
    assert run.wait() == 0


def test_a_line_is_there_while_the_run_goes_on(stage: Stage) -> None:
    play = stage.play().prints("begun").waits().prints("over")
    run = stage.start(play)
    lines = run.lines()

    assert next(lines).text == "begun"
    assert run.wait(0) is None
    play.goes_on()
    assert [line.text for line in lines] == ["over"]


def test_a_last_line_without_newline_is_delivered_when_the_run_ends(stage: Stage) -> None:
    run = stage.start(stage.play().prints("whole").prints("cut", end=""))

    assert texts(run) == ["whole", "cut"]


def test_line_ends_of_windows_are_line_ends(stage: Stage) -> None:
    run = stage.start(stage.play().prints_bytes(b"a\r\nprogress\r50 %\r\n\r\n"))

    assert texts(run) == ["a", "progress\r50 %", ""]


def test_bytes_that_are_not_utf8_are_replaced_and_controls_left_alone(stage: Stage) -> None:
    run = stage.start(stage.play().prints_bytes(b"a\xff\x00\x1b[1mb\n"))

    assert texts(run) == ["a�\x00\x1b[1mb"]


def test_long_lines_are_split_at_256_kib_between_characters(stage: Stage) -> None:
    long = "x" * (LIMIT - 1) + "é" + "y" * LIMIT
    run = stage.start(stage.play().prints(long, "z" * LIMIT, "short"))

    pieces = texts(run)
    expected = long.replace("é", "��") if stage.cuts_characters else long
    assert max(len(piece.encode()) for piece in pieces) <= LIMIT
    assert len(pieces) == 5
    assert "".join(pieces[:3]) == expected
    assert pieces[3:] == ["z" * LIMIT, "short"]


def test_reading_from_a_position_loses_and_doubles_nothing(stage: Stage) -> None:
    run = stage.start(stage.play().prints("a", "é" * 9, "", "w" * (LIMIT + 5), "end"))
    lines = list(run.lines())

    for index, line in enumerate(lines):
        rest = [later.text for later in run.lines(line.position)]
        assert rest == [later.text for later in lines[index + 1 :]]


def test_timestamps_never_go_back(stage: Stage) -> None:
    run = stage.start(stage.play().prints(*map(str, range(500))))
    stamps = [line.timestamp_ms for line in run.lines()]

    assert stamps == sorted(stamps)
    assert abs(stamps[-1] / 1000 - time.time()) < 3600


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_the_exit_code_is_the_runs_own(stage: Stage, code: int) -> None:
    run = stage.start(stage.play().exits(code))

    assert run.wait(PATIENCE) == code
    assert not run.lost


def test_waiting_gives_up_after_its_time(stage: Stage) -> None:
    play = stage.play().waits().exits(3)
    run = stage.start(play)

    assert run.wait(0.01) is None
    assert not run.lost
    play.goes_on()
    assert run.wait(PATIENCE) == 3


def test_stopping_sends_sigterm(stage: Stage) -> None:
    run = stage.start(stage.play().prints("here").waits())
    next(run.lines())

    run.stop(grace_seconds=30)

    assert run.wait(0) == 143
    assert texts(run) == ["here"]


def test_what_ignores_sigterm_is_killed_after_the_grace(stage: Stage) -> None:
    run = stage.start(stage.play().ignores_sigterm().prints("deaf").waits())
    next(run.lines())

    run.stop(grace_seconds=0.05)

    assert run.wait(0) == 137


def test_a_stop_right_after_the_start_is_not_missed(stage: Stage) -> None:
    run = stage.start(stage.play().waits())

    run.stop(grace_seconds=30)

    assert run.wait(0) == 143


def test_stopping_what_has_ended_changes_nothing(stage: Stage) -> None:
    run = stage.start(stage.play().exits(5))
    run.wait(PATIENCE)

    run.stop(grace_seconds=0)
    run.close()

    assert run.wait(0) == 5


def test_closing_ends_what_still_runs(stage: Stage) -> None:
    run = stage.start(stage.play().prints("here").waits())
    next(run.lines())

    run.close()

    assert run.wait(0) == 137


def test_files_below_opt_ml_are_ours_to_see(stage: Stage) -> None:
    play = stage.play().writes("top", b"1").writes("model/weights", b"2")
    ml: Path = stage.ml
    stage.start(play).wait(PATIENCE)

    assert (ml / "top").read_bytes() == b"1"
    assert (stage.model / "weights").read_bytes() == b"2"


def test_a_server_is_reached_at_its_address(stage: Stage) -> None:
    run = stage.start(stage.play().serves(), ports=(8080,))
    host, port = run.address(8080)
    request = urllib.request.Request(f"http://{host}:{port}/invocations", data=b"ping?")

    def ask() -> bytes:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except OSError as error:  # a refusal, or, where a port is published, a reset
            return repr(error).encode()

    assert wait_for(ask, lambda body: bool(body == b"ping?")) == b"ping?"


def test_a_restarted_emulator_finds_its_runs(stage: Stage) -> None:
    play = stage.play().prints("before").waits().prints("after").exits(4)
    run = stage.start(play, ports=(8080,))
    seen = next(run.lines())

    found = stage.restarted().find(run.id)

    assert found is not None
    assert found.id == run.id
    assert found.address(8080) == run.address(8080)
    play.goes_on()
    assert [line.text for line in found.lines(seen.position)] == ["after"]
    assert found.wait(PATIENCE) == 4


def test_a_run_that_ended_meanwhile_is_found_with_its_code_and_lines(stage: Stage) -> None:
    run = stage.start(stage.play().prints("said").exits(6))
    run.wait(PATIENCE)

    found = stage.restarted().find(run.id)

    assert found is not None
    assert found.wait(PATIENCE) == 6
    assert texts(found) == ["said"]


@pytest.mark.parametrize("run_id", ["", "nonsense", "process;1;2;3;4;5;6", "docker:abc"])
def test_an_unknown_run_is_not_found(stage: Stage, run_id: str) -> None:
    assert stage.backend.find(run_id) is None


def test_cleaning_ends_what_is_not_kept(stage: Stage) -> None:
    kept_play = stage.play().prints("kept").waits().exits(9)
    kept = stage.start(kept_play)
    other = stage.start(stage.play().prints("other").waits())
    next(kept.lines())
    next(other.lines())

    stage.backend.clean(frozenset({kept.id}))

    assert other.wait(PATIENCE) == 137
    kept_play.goes_on()
    assert kept.wait(PATIENCE) == 9


def test_an_unknown_image_is_refused_by_name(stage: Stage) -> None:
    with pytest.raises(ImageNotFound, match="my-own-image:3"):
        stage.backend.check("my-own-image:3")
    with pytest.raises(ImageNotFound, match="my-own-image:3"):
        stage.start(stage.play(), image="my-own-image:3")


def test_many_runs_at_once_keep_to_themselves(stage: Stage) -> None:
    specs = [stage.spec(stage.play().prints("mine").exits(0)) for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        runs = list(pool.map(stage.backend.start, specs))
        outputs = list(pool.map(texts, runs))

    assert outputs == [["mine"]] * 20
    assert [run.wait(PATIENCE) for run in runs] == [0] * 20
