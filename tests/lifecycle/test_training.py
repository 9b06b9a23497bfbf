"""A training job from its creation to its end, with a backend played by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lifecycle.house import BUCKET, House
from requests_as_sdks_send import LEGACY_IMAGE, PATIENCE, channel, wait_for
from sagedock.domain.training import TrainingJob
from sagedock.lifecycle.training_run import failure_reason
from sagedock.store.database import DiskFull

CHECKPOINTS = {"S3Uri": f"s3://{BUCKET}/checkpoints"}


def test_a_job_that_goes_well_passes_the_steps_in_order(house: House) -> None:
    house.backend.expect("train")
    house.train()
    job = house.ended()
    steps = [step.status for step in job.transitions]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(step.end is not None for step in job.transitions)
    assert job.model_artifacts == f"s3://{BUCKET}/out/job/output/model.tar.gz"


def test_the_model_is_uploaded_with_its_members_at_the_root(house: House) -> None:
    house.backend.expect("train").writes("model/net.json", b"{}").writes("model/a/b.txt", b"b")
    house.train()
    artifacts = house.ended().model_artifacts
    assert artifacts is not None
    assert house.archive(artifacts) == {"net.json": b"{}", "a/b.txt": b"b"}


def test_output_data_becomes_an_archive_of_its_own_when_there_is_any(house: House) -> None:
    house.backend.expect("train").writes("output/data/report.txt", b"done")
    house.train("with")
    assert house.ended("with").status == "Completed"
    house.backend.expect("train")
    house.train("without")
    assert house.ended("without").status == "Completed"
    assert house.archive(f"s3://{BUCKET}/out/with/output/output.tar.gz") == {"report.txt": b"done"}
    assert not house.objects.exists_under(BUCKET, "out/without/output/output.tar.gz")


def test_the_run_is_given_what_the_container_contract_names(house: House) -> None:
    play = house.backend.expect("train").waits()
    house.train(HyperParameters={"rate": "0.1"}, Environment={"MINE": "1"})
    run = play.wait_until_started()
    config = run.outside("/opt/ml/input/config")
    assert json.loads((config / "hyperparameters.json").read_text()) == {"rate": "0.1"}
    assert json.loads((config / "resourceconfig.json").read_text())["current_host"] == "algo-1"
    assert (run.outside("/opt/ml/input/data/training") / "a.txt").read_bytes() == b"x"
    assert run.spec.env["MINE"] == "1"
    assert run.spec.env["TRAINING_JOB_NAME"] == "job"


def test_a_failed_job_names_its_failure_file_and_exit_code(house: House) -> None:
    house.backend.expect("train").writes("output/failure", b"no such layer").exits(3)
    house.train()
    job = house.ended()
    assert job.status == "Failed"
    assert job.failure_reason == "AlgorithmError: no such layer, exit code: 3"
    assert not house.objects.exists_under(BUCKET, "out/job/output/model.tar.gz")


def test_a_failed_job_without_a_failure_file_names_its_exit_code(house: House) -> None:
    house.backend.expect("train").exits(139)
    house.train()
    assert house.ended().failure_reason == "AlgorithmError: , exit code: 139"


def test_a_pipe_in_the_failure_files_place_does_not_hold_the_job_up(house: House) -> None:
    play = house.backend.expect("train").waits().exits(3)
    house.train()
    os.mkfifo(play.wait_until_started().outside("/opt/ml/output/failure"))
    play.goes_on()
    assert house.ended().failure_reason == "AlgorithmError: , exit code: 3"


def no_room(job: object) -> TrainingJob:
    raise DiskFull(Path("home/sagedock.db"))


def test_a_job_on_a_full_disk_gives_its_room_back_and_fails_once_there_is_some(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagedock.lifecycle.training_run._SECONDS_BETWEEN_TRIES", 0.01)
    play = house.backend.expect("train").waits().exits(3)
    house.train()
    play.wait_until_started()
    house.reaches("Training")
    with monkeypatch.context() as disk:
        disk.setattr(house.jobs, "save", no_room)
        play.goes_on()
        wait_for(lambda: list((house.folder / "jobs").glob("*/*")), lambda left: not left)
        assert not house.jobs.get("job").has_ended
    assert "exit code: 3" in (house.ended().failure_reason or "")


def test_a_failed_job_keeps_its_output_data_and_checkpoints(house: House) -> None:
    play = house.backend.expect("train").writes("output/data/log.txt", b"half")
    play.writes("checkpoints/1", b"one").exits(1)
    house.train(CheckpointConfig=CHECKPOINTS)
    assert house.ended().status == "Failed"
    assert house.archive(f"s3://{BUCKET}/out/job/output/output.tar.gz") == {"log.txt": b"half"}
    assert house.objects.read_bytes(BUCKET, "checkpoints/1") == b"one"


@pytest.mark.parametrize("text", ["", "short", "x" * 5000, "é" * 5000])
def test_a_failure_reason_has_at_most_1024_characters_and_keeps_the_exit_code(text: str) -> None:
    reason = failure_reason(text, 1)
    assert len(reason) <= 1024
    assert reason.startswith("AlgorithmError: " + text[:100])
    assert reason.endswith(", exit code: 1")


def test_a_run_that_cannot_start_fails_the_job_with_the_reason(house: House) -> None:
    house.backend.expect("train").fails_to_start("No Python was found.")
    house.train()
    job = house.ended()
    assert (job.status, job.failure_reason) == ("Failed", "ClientError: No Python was found.")


def test_an_unknown_image_fails_the_job_and_names_it(house: House) -> None:
    house.train(AlgorithmSpecification={"TrainingImage": "nobody/nothing:1"})
    reason = house.ended().failure_reason or ""
    assert reason.startswith("ClientError: ")
    assert "nobody/nothing:1" in reason


def test_data_that_went_away_after_the_request_fails_the_job(house: House) -> None:
    missing = channel(f"s3://{BUCKET}/not/there/")
    house.train(InputDataConfig=[missing])
    reason = house.ended().failure_reason or ""
    assert reason.startswith("ClientError: Data download failed")
    assert f"s3://{BUCKET}/not/there/" in reason


def test_a_bucket_that_does_not_exist_fails_the_job_and_names_the_channel(house: House) -> None:
    house.train(InputDataConfig=[channel("s3://no-such-bucket/in/")])
    assert "channel training, s3://no-such-bucket/in/" in (house.ended().failure_reason or "")


def test_an_output_bucket_that_does_not_exist_fails_the_job(house: House) -> None:
    house.backend.expect("train")
    house.train(OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/out"})
    reason = house.ended().failure_reason or ""
    assert reason.startswith("ClientError: Artifact upload failed: s3://no-such-bucket/out/job")


def test_an_environment_that_is_built_first_tells_its_progress_in_the_log(house: House) -> None:
    house.backend.says_while_preparing = ["building mxnet"]
    house.backend.expect("train").prints("epoch 1")
    house.train()
    steps = [step.status for step in house.ended().transitions]
    assert steps[1:4] == ["Downloading", "DownloadingTrainingImage", "Training"]
    assert house.log("job/") == ["[sagedock] building mxnet", "epoch 1"]


def test_the_log_has_every_line_before_the_job_has_ended(house: House) -> None:
    lines = [f"line {number}" for number in range(5000)]
    house.backend.expect("train").prints(*lines)
    house.train()
    house.ended()
    assert house.log("job/algo-1-") == lines


# --- stopping ---------------------------------------------------------------------------------


def test_a_stopped_job_uploads_what_it_has(house: House) -> None:
    play = house.backend.expect("train").writes("model/weights", b"half").waits()
    job = house.train()
    run = play.wait_until_started()
    house.reaches("Training")
    house.training.stop(job)
    ended = house.ended()
    assert ended.status == "Stopped"
    assert [s.status for s in ended.transitions[-3:]] == ["Stopping", "Uploading", "Stopped"]
    assert run.stops == [5]
    assert house.archive(f"s3://{BUCKET}/out/job/output/model.tar.gz") == {"weights": b"half"}


def test_a_job_is_stopping_until_it_has_stopped(house: House) -> None:
    play = house.backend.expect("train").ignores_sigterm().waits()
    job = house.train()
    play.wait_until_started()
    house.training.stop(job, grace_seconds=0.1)
    assert house.jobs.get("job").status == "Stopping"
    assert house.ended().status == "Stopped"


def test_a_job_stopped_before_it_runs_is_stopped_without_a_model(house: House) -> None:
    house.backend.says_while_preparing = ["building"]
    hold = house.changes.subscribe  # the first news is Downloading: stop there
    stopped: list[None] = []

    def stop_once() -> None:
        if not stopped:
            stopped.append(None)
            house.training.stop(house.jobs.get("job"))

    hold("arn:aws:sagemaker:us-east-1:000000000000:training-job/job", stop_once)
    house.train()
    ended = house.ended()
    assert [s.status for s in ended.transitions] == [
        "Starting", "Downloading", "Stopping", "Stopped",
    ]  # fmt: skip
    assert house.backend.specs == []
    assert ended.model_artifacts is None


def test_stopping_an_ended_job_changes_nothing(house: House) -> None:
    house.backend.expect("train")
    house.train()
    before = house.ended()
    house.training.stop(before)
    assert house.jobs.get("job") == before


def test_a_job_over_its_time_is_stopped_and_says_so(house: House) -> None:
    house.backend.expect("train").writes("model/weights", b"w").waits()
    house.train(StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = house.ended()
    assert (job.status, job.secondary_status) == ("Stopped", "MaxRuntimeExceeded")
    assert house.archive(job.model_artifacts or "") == {"weights": b"w"}


# --- several hosts ----------------------------------------------------------------------------

TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2}


def test_each_host_has_a_run_a_tree_and_a_log_stream_of_its_own(house: House) -> None:
    house.backend.expect("train").prints("first").writes("model/one", b"1")
    house.backend.expect("train").prints("second").writes("model/two", b"2")
    house.train(ResourceConfig=TWO)
    job = house.ended()
    assert [spec.hostname for spec in house.backend.specs] == ["algo-1", "algo-2"]
    assert house.backend.specs[0].hosts == ("algo-1", "algo-2")
    assert house.log("job/algo-1-") == ["first"]
    assert house.log("job/algo-2-") == ["second"]
    assert house.archive(job.model_artifacts or "") == {"one": b"1", "two": b"2"}


def test_of_files_of_one_name_the_later_hosts_is_kept(house: House) -> None:
    house.backend.expect("train").writes("model/weights", b"of algo-1")
    house.backend.expect("train").writes("model/weights", b"of algo-2")
    house.train(ResourceConfig=TWO)
    assert house.archive(house.ended().model_artifacts or "") == {"weights": b"of algo-2"}


def test_one_host_that_fails_ends_the_others(house: House) -> None:
    waiting = house.backend.expect("train").waits()
    house.backend.expect("train").writes("output/failure", b"second broke").exits(1)
    house.train(ResourceConfig=TWO)
    assert house.ended().failure_reason == "AlgorithmError: second broke, exit code: 1"
    assert waiting.runs[0].wait(0) == 143


def test_a_second_host_that_cannot_start_ends_the_first(house: House) -> None:
    first = house.backend.expect("train").waits()
    house.backend.expect("train").fails_to_start("No port is free.")
    house.train(ResourceConfig=TWO)
    assert house.ended().failure_reason == "ClientError: No port is free."
    assert first.runs[0].wait(PATIENCE) is not None


def test_sharded_objects_are_dealt_out_among_the_hosts(house: House) -> None:
    for number in range(5):
        house.put(f"shards/{number}")
    sharded = channel(f"s3://{BUCKET}/shards/")
    sharded["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    plays = [house.backend.expect("train").waits() for _ in range(2)]
    house.train(ResourceConfig=TWO, InputDataConfig=[sharded])
    runs = [play.wait_until_started() for play in plays]
    folders = [run.outside("/opt/ml/input/data/training") for run in runs]
    got = [sorted(path.name for path in folder.iterdir()) for folder in folders]
    assert got == [["0", "2", "4"], ["1", "3"]]


# --- checkpoints ------------------------------------------------------------------------------


def test_checkpoints_come_from_s3_and_go_back(house: House) -> None:
    house.put("checkpoints/old/1", b"one")
    play = house.backend.expect("train").waits().writes("checkpoints/2", b"two")
    house.train(CheckpointConfig=CHECKPOINTS)
    there = play.wait_until_started().outside("/opt/ml/checkpoints")
    assert (there / "old" / "1").read_bytes() == b"one"
    play.goes_on()
    assert house.ended().status == "Completed"
    assert house.objects.read_bytes(BUCKET, "checkpoints/2") == b"two"


def test_a_checkpoint_key_that_climbs_out_fails_the_job(house: House) -> None:
    house.put("checkpoints/../../../escaped")
    house.train(CheckpointConfig=CHECKPOINTS)
    reason = house.ended().failure_reason or ""
    assert "is no path that a folder can hold" in reason
    assert not list(house.folder.rglob("escaped"))


def test_nothing_is_left_of_an_ended_job_but_its_objects(house: House) -> None:
    house.backend.expect("train")
    job = house.train()
    house.ended()
    assert house.runs.of(job.arn) == []
    assert list((house.folder / "jobs").iterdir()) == []


def test_whoever_waits_hears_of_each_step(house: House) -> None:
    play = house.backend.expect("train").waits()
    seen: list[str] = []
    arn = "arn:aws:sagemaker:us-east-1:000000000000:training-job/job"
    house.changes.subscribe(arn, lambda: seen.append(house.jobs.get("job").secondary_status))
    house.train(AlgorithmSpecification={"TrainingImage": LEGACY_IMAGE})
    play.wait_until_started()
    play.goes_on()
    house.ended()
    wait_for(lambda: seen, lambda s: bool(s and s[-1] == "Completed"))
    assert seen == ["Downloading", "Training", "Uploading", "Completed"]


def test_a_start_begins_before_the_data_is_staged_and_is_given_up_with_it(house: House) -> None:
    house.train("no-data", InputDataConfig=[channel(f"s3://{BUCKET}/nothing/")])
    assert house.ended("no-data").status == "Failed"
    assert house.backend.begun == []

    house.backend.expect("train")
    house.train("with-data")
    assert house.ended("with-data").status == "Completed"
    names = [spec.name for spec in house.backend.specs]
    assert house.backend.begun == names
    assert house.backend.abandoned == names


def test_what_the_backend_knows_of_the_end_stands_before_the_scripts_own_words(
    house: House,
) -> None:
    play = house.backend.expect("train").writes("output/failure", b"no more")
    play.is_told_of("killed for memory: it needed more than its limit of 8 GiB").exits(137)
    house.train()
    assert house.ended().failure_reason == (
        "AlgorithmError: killed for memory: it needed more than its limit of 8 GiB. no more, "
        "exit code: 137"
    )


def test_a_run_that_its_engine_ended_is_no_fault_of_the_script(house: House) -> None:
    house.backend.expect("train").is_told_of("the Docker engine was stopped").vanishes()
    house.train()
    assert house.ended().failure_reason == (
        "InternalServerError: the Docker engine was stopped. Create the job again."
    )


def test_the_run_is_told_its_instance_type(house: House) -> None:
    house.backend.expect("train")
    house.train()
    house.ended()
    assert house.backend.specs[0].instance_type == "ml.m5.large"
