"""Samples to datapoints: periods, the five statistics, and percentiles."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sagedock.errors import ServiceError
from sagedock.store.metrics import Sample

_PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{0,10})?|100)")
_SHORT_PERIODS: Final = (1, 5, 10, 20, 30)
_NO_UNIT: Final = "None"


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The samples of one period (which began at `start`, seconds since 1970) and one unit."""

    start: float
    unit: str
    samples: tuple[Sample, ...]

    def statistic(self, name: str) -> float:
        """SampleCount, Sum, Average, Minimum, Maximum, or a percentile such as p99.9. Raises
        InvalidParameterValue for any other."""
        count = sum(sample.count for sample in self.samples)
        if name == "SampleCount":
            return count
        if name == "Sum":
            return sum(sample.total for sample in self.samples)
        if name == "Average":
            return sum(sample.total for sample in self.samples) / count
        if name == "Minimum":
            return min(sample.minimum for sample in self.samples)
        if name == "Maximum":
            return max(sample.maximum for sample in self.samples)
        found = _PERCENTILE.fullmatch(name)
        if found is None:
            raise bad_value(
                f"The statistic {name} is not one of SampleCount, Sum, Average, Minimum, Maximum "
                "and percentiles such as p99."
            )
        return self._percentile(float(found[1]) / 100, count)

    def _percentile(self, fraction: float, count: float) -> float:
        """Nearest rank; of a summary of several values only their mean is known."""
        rank = max(1.0, math.ceil(fraction * count))
        seen, last = 0.0, 0.0
        for value, weight in sorted((s.total / s.count, s.count) for s in self.samples):
            seen, last = seen + weight, value
            if seen >= rank:
                break
        return last


def datapoints(samples: Iterable[Sample], period: int, unit: str | None = None) -> list[Datapoint]:
    """Samples gathered into periods of `period` seconds, oldest first; a datapoint for each unit,
    or of the samples of `unit` alone. Samples that stand for no value are left out."""
    gathered: dict[tuple[float, str], list[Sample]] = {}
    for sample in samples:
        its_unit = sample.unit or _NO_UNIT
        if sample.count > 0 and unit in (None, its_unit):
            start = sample.timestamp // period * period
            gathered.setdefault((start, its_unit), []).append(sample)
    return [Datapoint(start, its, tuple(found)) for (start, its), found in sorted(gathered.items())]


def check_period(period: int) -> None:
    """As API_GetMetricStatistics.html says which periods there are."""
    if period not in _SHORT_PERIODS and period % 60:
        raise bad_value(
            f"The parameter Period is {period}; it must be 1, 5, 10, 20, 30 or a multiple of 60."
        )


def bad_value(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidParameterValue", status=400)
