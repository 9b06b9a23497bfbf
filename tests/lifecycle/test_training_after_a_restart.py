"""What a successor makes of the jobs that its emulator left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lifecycle.house import BUCKET, House, pause
from requests_as_sdks_send import PATIENCE
from sagedock.lifecycle.metric_watch import NAMESPACE
from sagedock.store.metrics import MetricName
from sagedock.store.runs import RunRecord

LOSS = {"MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]}
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2}


@contextmanager
def successor(house: House) -> Iterator[House]:
    """Of an emulator that ended and left its jobs running."""
    after = house.left()
    try:
        after.adopt()
        yield after
    finally:
        after.close()


def test_a_job_that_still_runs_goes_on_to_its_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").prints("one").waits().prints("two")
    play.writes("model/weights", b"w")
    house.train()
    play.wait_until_started()
    house.reaches("Training")
    with successor(house) as after:
        play.goes_on()
        job = after.ended()
        assert job.status == "Completed"
        assert after.archive(job.model_artifacts or "") == {"weights": b"w"}
        assert after.log("job/") == ["one", "two"]


def test_a_job_that_ended_meanwhile_ends_with_its_exit_code(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").waits().writes("output/failure", b"late").exits(7)
    house.train()
    run = play.wait_until_started()
    house.reaches("Training")
    after = house.left()
    play.goes_on()
    assert run.wait(PATIENCE) == 7
    after.adopt()
    assert after.ended().failure_reason == "AlgorithmError: late, exit code: 7"
    after.close()


def test_a_job_whose_run_is_gone_fails_and_says_why(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").waits()
    house.train()
    run = play.wait_until_started()
    house.reaches("Training")
    after = house.left()
    run.close()
    after.backend.clean(frozenset())
    after.adopt()
    reason = after.ended().failure_reason or ""
    assert reason.startswith("InternalServerError: the emulator was stopped while the job ran")
    after.close()


def test_a_job_whose_exit_code_nobody_knows_fails_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").waits().vanishes()
    house.train()
    play.wait_until_started()
    house.reaches("Training")
    with successor(house) as after:
        play.goes_on()
        assert "left no exit code" in (after.ended().failure_reason or "")


def test_a_job_that_had_not_started_yet_starts(house: House) -> None:
    house.backend.expect("train").writes("model/weights", b"w")
    house.supervisor.closing.set()  # killed right after the request was stored
    house.train()
    house.supervisor.closing.clear()
    house.adopt()
    assert house.ended().status == "Completed"


def test_a_job_of_which_only_one_host_had_started_begins_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    first = house.backend.expect("train").waits()
    house.backend.expect("train").waits()
    job = house.train(ResourceConfig=TWO)
    run = first.wait_until_started()
    house.reaches("Training")
    after = house.left()
    second = next(r for r in after.runs.of(job.arn) if r.host == "algo-2")
    after.runs.remove(second.id)
    fresh = [after.backend.expect("train") for _ in range(2)]
    after.adopt()
    assert after.ended().status == "Completed"
    assert run.wait(0) == 137
    assert [len(play.runs) for play in fresh] == [1, 1]
    after.close()


def test_a_job_that_was_being_uploaded_is_uploaded_again(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").writes("model/weights", b"w").waits()
    house.train()
    run = play.wait_until_started()
    house.reaches("Training")
    after = house.left()
    after.jobs.save(after.jobs.get("job").moved_to("Uploading", after.jobs.get("job").modified))
    play.goes_on()
    assert run.wait(PATIENCE) == 0
    after.adopt()
    job = after.ended()
    assert [step.status for step in job.transitions][-2:] == ["Uploading", "Completed"]
    assert after.archive(job.model_artifacts or "") == {"weights": b"w"}
    after.close()


def test_a_job_that_was_stopping_still_ends_stopped(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").waits()
    job = house.train()
    play.wait_until_started()
    house.reaches("Training")
    after = house.left()
    after.training.stop(job)
    with_its_request = after.jobs.get("job")
    assert with_its_request.stop_requested
    after.adopt()
    assert after.ended().status == "Stopped"
    after.close()


def test_metrics_from_before_the_restart_count_as_final_values(tmp_path: Path) -> None:
    house = House(tmp_path)
    play = house.backend.expect("train").prints("loss=0.5").waits()
    image = {"TrainingImage": "sagemaker-mxnet:1.2.1-cpu-py3", "TrainingInputMode": "File"}
    house.train(AlgorithmSpecification={**image, **LOSS})
    play.wait_until_started()
    house.reaches("Training")
    metric = MetricName(NAMESPACE, "loss", {"TrainingJobName": "job"})
    while not house.metrics.series(metric, 0, 1e12):
        pause()
    with successor(house) as after:
        play.goes_on()
        (final,) = after.ended().metrics
        assert (final["MetricName"], final["Value"]) == ("loss", 0.5)


def test_leftovers_of_jobs_that_have_ended_are_swept(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.backend.expect("train")
    job = house.train()
    house.ended()
    half = house.folder / "jobs" / "job" / "algo-1"
    half.mkdir(parents=True)
    stray = house.backend.expect("train").waits()
    other = house.train("other")
    run = stray.wait_until_started()
    house.runs.add(RunRecord("scripted;99", job.arn, "algo-1", {}))
    after = house.left()
    after.adopt()
    assert not half.exists()
    assert after.runs.of(job.arn) == []
    assert run.wait(0) is None, "what belongs to a job that goes on must not be ended"
    assert (after.folder / "jobs" / other.name).exists()
    after.close()


def test_a_key_of_a_channel_keeps_what_follows_the_prefix(house: House) -> None:
    house.put("in/deep/er/b.txt", b"b")
    play = house.backend.expect("train").waits()
    house.train()
    folder = play.wait_until_started().outside("/opt/ml/input/data/training")
    assert (folder / "deep" / "er" / "b.txt").read_bytes() == b"b"
    assert house.objects.read_bytes(BUCKET, "in/deep/er/b.txt") == b"b"
