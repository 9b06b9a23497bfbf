"""Metrics: what CloudWatch keeps. A row is one value, or a summary of several at one moment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sagedock.store.database import Database


@dataclass(frozen=True, slots=True)
class Sample:
    """`count` values at `timestamp` (seconds since 1970, UTC), as their sum and extremes."""

    timestamp: float
    count: float
    total: float
    minimum: float
    maximum: float
    unit: str | None = None

    @classmethod
    def of(
        cls, timestamp: float, value: float, unit: str | None = None, count: float = 1
    ) -> Sample:
        """`count` times the same value."""
        return cls(timestamp, count, value * count, value, value, unit)


@dataclass(frozen=True, slots=True)
class MetricName:
    """What a series is known by; two sets of dimensions are two series."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]


class Metrics:
    """All series of this emulator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        timestamp: float,
        value: float,
        unit: str | None = None,
    ) -> None:
        """One value."""
        metric = MetricName(namespace, name, dimensions)
        self.put_samples([(metric, Sample.of(timestamp, value, unit))])

    def put_samples(self, samples: Iterable[tuple[MetricName, Sample]]) -> None:
        """Many, in one transaction."""
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO metrics (namespace, name, dimensions, timestamp, count, total,"
                " minimum, maximum, unit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        metric.namespace,
                        metric.name,
                        _text(metric.dimensions),
                        sample.timestamp,
                        sample.count,
                        sample.total,
                        sample.minimum,
                        sample.maximum,
                        sample.unit,
                    )
                    for metric, sample in samples
                ],
            )

    def series(self, metric: MetricName, start: float, end: float) -> list[Sample]:
        """Samples from `start` (itself included) to before `end`, oldest first."""
        rows = self._database.read().execute(
            "SELECT timestamp, count, total, minimum, maximum, unit FROM metrics"
            " WHERE namespace = ? AND name = ? AND dimensions = ?"
            " AND timestamp >= ? AND timestamp < ? ORDER BY timestamp, id",
            (metric.namespace, metric.name, _text(metric.dimensions), start, end),
        )
        return [Sample(*row) for row in rows]

    def list(
        self, namespace: str | None = None, name: str | None = None, since: float | None = None
    ) -> list[MetricName]:
        """Every series (with a sample from `since` on), by namespace, name and dimensions."""
        conditions = (("namespace = ?", namespace), ("name = ?", name), ("timestamp >= ?", since))
        given = [(text, value) for text, value in conditions if value is not None]
        where = " AND ".join(text for text, _ in given) or "1"
        rows = self._database.read().execute(
            f"SELECT DISTINCT namespace, name, dimensions FROM metrics WHERE {where}",
            [value for _, value in given],
        )
        found = [MetricName(row[0], row[1], dict(json.loads(row[2]))) for row in rows]
        return sorted(found, key=lambda m: (m.namespace, m.name, sorted(m.dimensions.items())))


def _text(dimensions: Mapping[str, str]) -> str:
    """One spelling for each set of dimensions."""
    return json.dumps(sorted(dimensions.items()))
