"""MetricDefinitions: each matching line of a job's log becomes a point in CloudWatch.

Namespace, dimension and the final values follow control-plane reference 3b: namespace
/aws/sagemaker/TrainingJobs, dimension TrainingJobName; FinalMetricDataList holds the last value
of each name (botocore documentation of DescribeTrainingJob).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sagedock.backends.base import LogLine
from sagedock.store.metrics import MetricName, Sample

NAMESPACE = "/aws/sagemaker/TrainingJobs"


class MetricStore(Protocol):
    def put(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        timestamp: float,
        value: float,
        unit: str | None = None,
    ) -> object: ...

    def series(self, metric: MetricName, start: float, end: float) -> Sequence[Sample]: ...


class MetricWatch:
    """A log sink; safe to share among a job's hosts."""

    def __init__(
        self, job_name: str, definitions: Sequence[Mapping[str, str]], metrics: MetricStore
    ) -> None:
        self._job_name = job_name
        self._patterns = [(d["Name"], re.compile(d["Regex"])) for d in definitions]
        self._metrics = metrics
        self._last: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, line: LogLine) -> None:
        for name, pattern in self._patterns:
            value = _number(pattern, line.text)
            if value is None:
                continue
            seconds = line.timestamp_ms / 1000
            self._remember(name, value, seconds)
            self._metrics.put(NAMESPACE, name, {"TrainingJobName": self._job_name}, seconds, value)

    def recall(self, since: float) -> None:
        """After our own restart: the last values that were seen before it. `since` (seconds since
        1970) leaves out those of an earlier job of the same name."""
        for name, _ in self._patterns:
            metric = MetricName(NAMESPACE, name, {"TrainingJobName": self._job_name})
            for sample in self._metrics.series(metric, since, math.inf)[-1:]:
                self._remember(name, sample.total, sample.timestamp)

    def final(self) -> tuple[Mapping[str, Any], ...]:
        """The last value of each metric, in the order of their definitions."""
        return tuple(self._last[name] for name, _ in self._patterns if name in self._last)

    def _remember(self, name: str, value: float, seconds: float) -> None:
        with self._lock:
            self._last[name] = {"MetricName": name, "Value": value, "Timestamp": seconds}


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    """The first group's number, where the line matches and the group is one. CloudWatch takes no
    NaN and no infinity (API_MetricDatum.html), so a loss that has diverged is no point."""
    found = pattern.search(text)
    if found is None or not pattern.groups or found.group(1) is None:
        return None
    try:
        value = float(found.group(1))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
