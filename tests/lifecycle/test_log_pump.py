"""Lines to stored events: in order, each once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lifecycle.house import House
from requests_as_sdks_send import PATIENCE, wait_for
from sagedock.backends.base import LogLine, Run, RunSpec
from sagedock.lifecycle.log_pump import LogPump
from sagedock.lifecycle.metric_watch import NAMESPACE, MetricWatch
from sagedock.store.metrics import MetricName

GROUP, STREAM = "/aws/sagemaker/TrainingJobs", "job/algo-1-1"


def started(house: House, tmp_path: Path) -> Run:
    workdir = tmp_path / "run"
    workdir.mkdir()
    return house.backend.start(RunSpec("r", "sagedock/python", ("train",), workdir))


def pump(house: House, run: Run, *sinks: MetricWatch) -> LogPump:
    return LogPump(run, GROUP, STREAM, house.events, sinks).start()


def test_lines_appear_while_the_run_goes_on(house: House, tmp_path: Path) -> None:
    play = house.backend.expect("train").prints("one").waits().prints("two")
    running = pump(house, started(house, tmp_path))
    wait_for(lambda: house.log(STREAM), lambda lines: bool(lines == ["one"]))
    play.goes_on()
    running.join()
    assert house.log(STREAM) == ["one", "two"]


def test_another_pump_goes_on_where_the_last_one_left(house: House, tmp_path: Path) -> None:
    play = house.backend.expect("train").prints(*map(str, range(3000))).waits()
    play.prints(*map(str, range(3000, 6000)))
    run = started(house, tmp_path)
    first = pump(house, run)
    wait_for(lambda: house.log(STREAM), bool)
    first.leave()
    seen = len(house.log(STREAM))
    play.goes_on()
    pump(house, run).join()
    assert 0 < seen <= 3000
    assert house.log(STREAM) == [str(number) for number in range(6000)]


def test_a_pump_that_left_stores_no_more(house: House, tmp_path: Path) -> None:
    play = house.backend.expect("train").prints("one").waits().prints("two")
    run = started(house, tmp_path)
    running = pump(house, run)
    wait_for(lambda: house.log(STREAM), bool)
    running.leave()
    play.goes_on()
    assert run.wait(PATIENCE) == 0
    running.join()
    assert house.log(STREAM) == ["one"]


def test_a_stream_deleted_meanwhile_is_made_anew(house: House, tmp_path: Path) -> None:
    play = house.backend.expect("train").prints("one").waits().prints("two")
    running = pump(house, started(house, tmp_path))
    wait_for(lambda: house.log(STREAM), bool)
    house.events.delete_group(GROUP)
    play.goes_on()
    running.join()
    assert house.log(STREAM) == ["two"]


class OneFailure:
    """Event store whose first `append` meets a full disk."""

    def __init__(self, house: House) -> None:
        self.create_stream, self.position = house.events.create_stream, house.events.position
        self._append, self._failed = house.events.append, False

    def append(self, *arguments: object) -> object:
        if not self._failed:
            self._failed = True
            raise OSError(28, "No space left on device")
        return self._append(*arguments)  # type: ignore[arg-type]


def test_lines_that_cannot_be_stored_do_not_stop_those_after_them(
    house: House, tmp_path: Path
) -> None:
    play = house.backend.expect("train").prints("one").waits().prints("two")
    run = started(house, tmp_path)
    running = LogPump(run, GROUP, STREAM, OneFailure(house)).start()
    wait_for(lambda: list(running.tail), bool)
    play.goes_on()
    running.join()
    assert house.log(STREAM) == ["two"]
    assert list(running.tail) == ["one", "two"]


# --- metrics ----------------------------------------------------------------------------------


def watch(house: House, regex: str = r"loss=(\S+)") -> MetricWatch:
    return MetricWatch("job", [{"Name": "loss", "Regex": regex}], house.metrics)


def points(house: House) -> Iterator[float]:
    metric = MetricName(NAMESPACE, "loss", {"TrainingJobName": "job"})
    for sample in house.metrics.series(metric, 0, 1e12):
        yield sample.total


def line(text: str) -> LogLine:
    return LogLine(text, "0", 1_700_000_000_000)


def test_each_matching_line_is_a_point_and_the_last_is_final(house: House) -> None:
    seen = watch(house)
    for text in ("loss=0.5", "nothing", "epoch 2: loss=2.5e-1 now"):
        seen(line(text))
    assert list(points(house)) == [0.5, 0.25]
    (final,) = seen.final()
    assert (final["MetricName"], final["Value"]) == ("loss", 0.25)


def test_a_loss_that_is_no_number_is_no_point(house: House) -> None:
    seen = watch(house)
    for text in ("loss=nan", "loss=inf", "loss=-inf", "loss=high", "loss="):
        seen(line(text))
    assert list(points(house)) == []
    assert seen.final() == ()


def test_an_expression_without_a_group_finds_nothing(house: House) -> None:
    seen = watch(house, "loss=[0-9.]+")
    seen(line("loss=0.5"))
    assert seen.final() == ()


def test_metrics_of_a_run_are_there_when_its_log_is(house: House, tmp_path: Path) -> None:
    house.backend.expect("train").prints("loss=1", "loss=nan", "loss=0.25")
    seen = watch(house)
    pump(house, started(house, tmp_path), seen).join()
    assert list(points(house)) == [1, 0.25]
