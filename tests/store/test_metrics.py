"""Series of metrics: told apart by all their dimensions, read by time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sagedock.store.database import Database
from sagedock.store.metrics import MetricName, Metrics, Sample
from sagedock.store.schema import MIGRATIONS


@pytest.fixture
def metrics(tmp_path: Path) -> Iterator[Metrics]:
    database = Database(tmp_path / "sagedock.db", MIGRATIONS)
    yield Metrics(database)
    database.close()


def test_a_series_is_read_from_its_start_to_before_its_end(metrics: Metrics) -> None:
    for second in (3.0, 1.0, 2.0):
        metrics.put("n", "m", {}, second, second * 10, "Count")
    found = metrics.series(MetricName("n", "m", {}), 1.0, 3.0)
    assert found == [Sample.of(1.0, 10.0, "Count"), Sample.of(2.0, 20.0, "Count")]


def test_dimensions_are_a_set_and_their_order_means_nothing(metrics: Metrics) -> None:
    metrics.put("n", "m", {"a": "1", "b": "2"}, 1.0, 1.0)
    assert metrics.series(MetricName("n", "m", {"b": "2", "a": "1"}), 0, 9)
    assert not metrics.series(MetricName("n", "m", {"a": "1"}), 0, 9)


def test_a_sample_may_stand_for_several_values(metrics: Metrics) -> None:
    metric = MetricName("n", "m", {})
    metrics.put_samples([(metric, Sample.of(1.0, 2.0, count=3)), (metric, Sample(1, 2, 9, 4, 5))])
    assert [s.total for s in metrics.series(metric, 0, 9)] == [6.0, 9.0]


def test_series_are_listed_once_each(metrics: Metrics) -> None:
    for name, space in (("b", "x"), ("a", "x"), ("a", "w"), ("a", "x")):
        metrics.put(space, name, {"d": "1"}, 1.0, 1.0)
    assert [(m.namespace, m.name) for m in metrics.list()] == [("w", "a"), ("x", "a"), ("x", "b")]
    assert [m.name for m in metrics.list("x", "a")] == ["a"]
    assert metrics.list(since=2.0) == []
