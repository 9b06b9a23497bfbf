"""Resources: one of a name, saved only over what was read, found by filter, order and place."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from sagedock.domain.resource import Model
from sagedock.domain.training import TrainingJob
from sagedock.errors import StartupError
from sagedock.store.database import Database
from sagedock.store.resources import (
    AlreadyExists,
    Filter,
    NotFound,
    Outdated,
    Resources,
    Tags,
    sort_key,
)
from sagedock.store.runs import RunRecord, Runs
from sagedock.store.schema import MIGRATIONS

START = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "sagedock.db", MIGRATIONS)
    yield database
    database.close()


@pytest.fixture
def jobs(database: Database) -> Resources[TrainingJob]:
    return Resources(database, TrainingJob)


def _job(name: str, second: float = 0) -> TrainingJob:
    now = START + timedelta(seconds=second)
    return TrainingJob.requested(name, f"arn:training-job/{name}", {"n": name, "empty": []}, now)


def test_what_is_read_is_what_was_stored(jobs: Resources[TrainingJob]) -> None:
    job = jobs.add(_job("a").moved_to("Downloading", START).moved_to("Training", START))
    assert job.version == 1
    assert jobs.get("a") == job


def test_a_name_is_given_once_and_the_holder_is_named(jobs: Resources[TrainingJob]) -> None:
    jobs.add(_job("a"))
    with pytest.raises(AlreadyExists) as caught:
        jobs.add(_job("a", 5))
    assert caught.value.existing == "arn:training-job/a"
    assert jobs.get("a").created == START


def test_names_of_other_kinds_do_not_matter(database: Database) -> None:
    Resources(database, TrainingJob).add(_job("a"))
    model = Model(name="a", arn="arn:model/a", created=START, modified=START, request={})
    assert Resources(database, Model).add(model).name == "a"


def test_saving_over_another_ones_save_is_refused(jobs: Resources[TrainingJob]) -> None:
    read = jobs.add(_job("a"))
    saved = jobs.save(read.moved_to("Downloading", START))
    assert saved.version == 2
    with pytest.raises(Outdated):
        jobs.save(read.moved_to("Stopping", START))
    assert jobs.get("a").secondary_status == "Downloading"
    jobs.delete("a")
    with pytest.raises(NotFound):
        jobs.save(saved)


def test_of_many_savers_at_once_none_is_lost(jobs: Resources[TrainingJob]) -> None:
    jobs.add(_job("a"))

    def count_up(_: int) -> None:
        while True:
            job = jobs.get("a")
            try:
                jobs.save(replace(job, request={"count": job.request.get("count", 0) + 1}))
                return
            except Outdated:
                continue

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(40)))
    assert jobs.get("a").request == {"count": 40}


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort_by", ["Name", "CreationTime", "Status"])
def test_places_cut_every_order_into_pages(
    jobs: Resources[TrainingJob], sort_by: str, descending: bool
) -> None:
    for index, name in enumerate("dbacef"):
        jobs.add(_job(name, index // 2))  # two share each moment
    order = Filter(sort_by=sort_by, descending=descending)  # type: ignore[arg-type]
    everything = jobs.find(order)
    paged: list[TrainingJob] = []
    while len(paged) < 6:
        place = sort_key(paged[-1], sort_by) if paged else None
        paged += jobs.find(replace(order, after=place, limit=2))
    assert paged == everything


def test_filters_exclude_the_moment_they_name(jobs: Resources[TrainingJob]) -> None:
    for index, name in enumerate(("one", "two", "three")):
        jobs.add(_job(name, index))
    moment = jobs.get("two").created

    def names(wanted: Filter) -> list[str]:
        return [job.name for job in jobs.find(wanted)]

    assert names(Filter(created_after=moment)) == ["three"]
    assert names(Filter(created_before=moment)) == ["one"]
    assert names(Filter(name_contains="o", descending=False)) == ["one", "two"]
    assert names(Filter(status="Completed")) == []


def test_tags_go_with_their_resource(database: Database, jobs: Resources[TrainingJob]) -> None:
    tags = Tags(database)
    job = jobs.add(_job("a"), [{"Key": "z", "Value": "1"}, {"Key": "a", "Value": "2"}])
    tags.put(job.arn, [{"Key": "m", "Value": "3"}, {"Key": "z", "Value": "9"}])
    assert [tag["Key"] for tag in tags.of(job.arn)] == ["z", "a", "m"]
    tags.remove(job.arn, ["a"])
    assert tags.of(job.arn)[0] == {"Key": "z", "Value": "9"}
    jobs.delete("a")
    assert (tags.of(job.arn), tags.exists(job.arn)) == ([], False)


def test_runs_are_remembered_by_resource(database: Database) -> None:
    runs = Runs(database)
    for number in (2, 1):
        runs.add(RunRecord(f"run-{number}", "arn", f"algo-{number}", {"stream": "s"}))
    assert [run.host for run in runs.of("arn")] == ["algo-1", "algo-2"]
    runs.remove("run-1")
    assert [run.id for run in runs.of("arn")] == ["run-2"]


def test_everything_is_there_after_opening_the_file_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "x.db", MIGRATIONS)
    Resources(first, TrainingJob).add(_job("a"))
    first.close()
    second = Database(tmp_path / "x.db", MIGRATIONS)
    assert Resources(second, TrainingJob).get("a").name == "a"
    second.close()


def test_a_file_of_a_newer_sagedock_is_not_opened(tmp_path: Path) -> None:
    newer = Database(tmp_path / "x.db", [*MIGRATIONS, "CREATE TABLE later (x);"])
    newer.close()
    with pytest.raises(StartupError, match="newer sagedock"):
        Database(tmp_path / "x.db", MIGRATIONS)


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def write() -> None:
        with database.write() as connection:
            connection.execute("INSERT INTO log_groups VALUES ('g', 1)")
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        write()
    assert database.read().execute("SELECT count(*) FROM log_groups").fetchone()[0] == 0
