"""CloudWatch metrics: put, statistics by period, series, lists."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.desk import NOON, Desk

SPACE = "/aws/sagemaker/TrainingJobs"
JOB = [{"Name": "TrainingJobName", "Value": "fit-1"}]
ALL = ["SampleCount", "Sum", "Average", "Minimum", "Maximum"]
HOUR: dict[str, Any] = {"StartTime": NOON, "EndTime": NOON + timedelta(hours=1)}


def _measure(desk: Desk, second: float, value: float, name: str = "loss") -> None:
    moment = NOON.timestamp() + second
    desk.metrics.put(SPACE, name, {"TrainingJobName": "fit-1"}, moment, value)


def _statistics(desk: Desk, **ask: Any) -> list[dict[str, Any]]:
    asked = {
        "Namespace": SPACE,
        "MetricName": "loss",
        "Dimensions": JOB,
        "Period": 60,
        "Statistics": ALL,
        **HOUR,
        **ask,
    }
    found: list[dict[str, Any]] = desk.answer("cloudwatch", "GetMetricStatistics", **asked)[
        "Datapoints"
    ]
    return found


def _at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


@pytest.mark.evidence("docs", "API_GetMetricStatistics.html")
def test_values_are_gathered_by_period(desk: Desk) -> None:
    for second, value in ((0, 4.0), (59.9, 2.0), (60, 1.0)):
        _measure(desk, second, value)
    first, second_point = _statistics(desk)
    assert first == {
        "Timestamp": _at(0),
        "Unit": "None",
        "SampleCount": 2,
        "Sum": 6.0,
        "Average": 3.0,
        "Minimum": 2.0,
        "Maximum": 4.0,
    }
    assert (second_point["Timestamp"], second_point["Sum"]) == (_at(60), 1.0)


def test_the_start_is_rounded_to_its_minute_and_the_end_is_exclusive(desk: Desk) -> None:
    for second in (0, 30, 90):
        _measure(desk, second, 1.0)
    found = _statistics(desk, StartTime=_at(45), EndTime=_at(90))
    assert [point["SampleCount"] for point in found] == [2]


def test_another_set_of_dimensions_is_another_series(desk: Desk) -> None:
    _measure(desk, 0, 1.0)
    assert _statistics(desk, Dimensions=[{"Name": "TrainingJobName", "Value": "no"}]) == []
    assert _statistics(desk, Dimensions=[]) == []


def test_percentiles_are_extended_statistics(desk: Desk) -> None:
    for value in range(1, 101):
        _measure(desk, 1, float(value))
    (point,) = _statistics(desk, Statistics=None, ExtendedStatistics=["p50", "p99.9"])
    assert point["ExtendedStatistics"] == {"p50": 50.0, "p99.9": 100.0}


@pytest.mark.evidence("docs", "API_PutMetricData.html")
def test_values_may_be_put_in_three_ways(desk: Desk) -> None:
    moment = {"MetricName": "m", "Timestamp": _at(1), "Unit": "Count"}
    data = [
        {**moment, "Value": 1.0},
        {**moment, "Values": [2.0, 3.0], "Counts": [2.0, 1.0]},
        {
            **moment,
            "StatisticValues": {"SampleCount": 4, "Sum": 20, "Minimum": 3, "Maximum": 9},
        },
    ]
    desk.answer("cloudwatch", "PutMetricData", Namespace="mine", MetricData=data)
    (point,) = _statistics(desk, Namespace="mine", MetricName="m", Dimensions=[])
    assert (point["SampleCount"], point["Sum"], point["Maximum"]) == (8, 28, 9)
    assert point["Unit"] == "Count"
    assert _statistics(desk, Namespace="mine", MetricName="m", Dimensions=[], Unit="Bytes") == []


@pytest.mark.parametrize(
    ("datum", "code"),
    [
        ({"Value": 1.0, "Values": [1.0]}, "InvalidParameterCombination"),
        ({}, "InvalidParameterCombination"),
        ({"Values": [1.0], "Counts": [1.0, 2.0]}, "InvalidParameterValue"),
    ],
)
def test_a_datum_without_one_clear_value_is_refused(
    desk: Desk, datum: dict[str, Any], code: str
) -> None:
    data = [{"MetricName": "good", "Value": 1.0}, {"MetricName": "m", **datum}]
    refused = desk.refusal("cloudwatch", "PutMetricData", Namespace="mine", MetricData=data)
    assert refused.code == code
    assert desk.metrics.list() == []


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ({"Period": 61}, "multiple of 60"),
        ({"EndTime": NOON}, "less than the parameter EndTime"),
        ({"EndTime": NOON + timedelta(days=2)}, "exceeds the limit of 1,440"),
        ({"ExtendedStatistics": ["p50"]}, "not both"),
        ({"Statistics": None}, "either"),
        ({"Statistics": None, "ExtendedStatistics": ["tm90"]}, "tm90"),
    ],
)
def test_statistics_that_cannot_be_are_refused(desk: Desk, ask: dict[str, Any], words: str) -> None:
    _measure(desk, 0, 1.0)
    asked = {"Namespace": SPACE, "MetricName": "loss", "Dimensions": JOB, "Period": 60}
    asked.update({"Statistics": ALL, **HOUR, **ask})
    assert words in desk.refusal("cloudwatch", "GetMetricStatistics", **asked).message


def _query(stat: str = "Maximum", **more: Any) -> dict[str, Any]:
    metric = {"Namespace": SPACE, "MetricName": "loss", "Dimensions": JOB}
    return {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}, **more}


@pytest.mark.evidence("docs", "API_GetMetricData.html: newest first")
def test_series_come_newest_first_unless_asked_otherwise(desk: Desk) -> None:
    for second, value in ((0, 1.0), (60, 2.0), (120, 3.0)):
        _measure(desk, second, value)

    def series(**ask: Any) -> dict[str, Any]:
        answer = desk.answer(
            "cloudwatch", "GetMetricData", MetricDataQueries=[_query()], **HOUR, **ask
        )
        (result,) = answer["MetricDataResults"]
        return {**result, "NextToken": answer.get("NextToken")}

    assert series()["Values"] == [3.0, 2.0, 1.0]
    rising = series(ScanBy="TimestampAscending")
    assert (rising["Values"], rising["Label"]) == ([1.0, 2.0, 3.0], "loss")
    assert rising["Timestamps"] == [_at(0), _at(60), _at(120)]
    first = series(MaxDatapoints=2)
    assert (first["Values"], first["StatusCode"]) == ([3.0, 2.0], "PartialData")
    last = series(MaxDatapoints=2, NextToken=first["NextToken"])
    assert (last["Values"], last["NextToken"]) == ([1.0], None)


def test_expressions_are_refused_plainly(desk: Desk) -> None:
    queries = [_query(ReturnData=False), {"Id": "e", "Expression": "q * 2"}]
    refused = desk.refusal("cloudwatch", "GetMetricData", MetricDataQueries=queries, **HOUR)
    assert (refused.status, "'e'" in refused.message) == (501, True)


def test_metrics_are_listed_by_namespace_name_and_dimensions(desk: Desk) -> None:
    _measure(desk, 0, 1.0)
    _measure(desk, 0, 1.0, name="rate")
    desk.metrics.put("other", "loss", {}, NOON.timestamp(), 1.0)

    def names(**ask: Any) -> list[tuple[str, str]]:
        found = desk.answer("cloudwatch", "ListMetrics", **ask)["Metrics"]
        return [(metric["Namespace"], metric["MetricName"]) for metric in found]

    assert names() == [(SPACE, "loss"), (SPACE, "rate"), ("other", "loss")]
    assert names(MetricName="loss", Dimensions=JOB) == [(SPACE, "loss")]
    assert names(Dimensions=[{"Name": "TrainingJobName"}]) == [(SPACE, "loss"), (SPACE, "rate")]
    assert names(RecentlyActive="PT3H") == names()
    desk.time += timedelta(hours=4)
    assert names(RecentlyActive="PT3H") == []


def test_more_than_500_metrics_are_listed_in_pages(desk: Desk) -> None:
    for number in range(501):
        _measure(desk, 0, 1.0, name=f"m{number:03}")
    first = desk.answer("cloudwatch", "ListMetrics", Namespace=SPACE)
    assert len(first["Metrics"]) == 500
    rest = desk.answer("cloudwatch", "ListMetrics", NextToken=first["NextToken"])
    assert [metric["MetricName"] for metric in rest["Metrics"]] == ["m500"]
    assert "NextToken" not in rest
    assert desk.refusal("cloudwatch", "ListMetrics", NextToken="x").code == "InvalidParameterValue"
