"""CloudWatch metrics: what training jobs and endpoints measure, and what clients put."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from sagedock.domain.resource import from_epoch
from sagedock.errors import NotEmulated, ServiceError, ValidationException
from sagedock.services.listing import read_token, write_token
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.services.statistics import Datapoint, bad_value, check_period, datapoints
from sagedock.store.metrics import MetricName, Metrics, Sample

MAX_DATAPOINTS: Final = 1_440
"""Of one GetMetricStatistics answer (its API page)."""

MAX_DATA_DATAPOINTS: Final = 100_800
"""Of one GetMetricData answer (its API page)."""

LIST_PAGE: Final = 500
_MINUTE: Final = 60
_RECENT_SECONDS: Final = {"PT3H": 3 * 3_600}


class CloudWatchOperations:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Operations.html"""

    service = "cloudwatch"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    @operation("PutMetricData")
    def put(self, request: Request, context: Context) -> Answer:
        """Values, arrays of values with counts, or statistic sets; readable at once."""
        data = list(request.get("MetricData", ()))
        for entity in request.get("EntityMetricData", ()):
            data.extend(entity.get("MetricData", ()))
        if not data:
            raise ServiceError(
                "The parameter MetricData is required.", code="MissingParameter", status=400
            )
        now = context.now()
        self._metrics.put_samples(
            (_metric(request["Namespace"], datum), sample)
            for datum in data
            for sample in _samples(datum, now)
        )
        return {}

    @operation("GetMetricStatistics")
    def statistics(self, request: Request, context: Context) -> Answer:
        """A datapoint for each period that has values, oldest first."""
        plain = request.get("Statistics", ())
        extended = request.get("ExtendedStatistics", ())
        if bool(plain) == bool(extended):
            raise _bad_combination("Give either Statistics or ExtendedStatistics, and not both.")
        period = int(request["Period"])
        start, end = _span(request)
        count = (end - start) / period
        if count > MAX_DATAPOINTS:
            raise _bad_combination(
                f"You have requested up to {int(count):,} datapoints, which exceeds the limit of "
                f"{MAX_DATAPOINTS:,}. You may reduce the datapoints requested by increasing "
                "Period, or decreasing the time range."
            )
        found = self._found(_metric(request["Namespace"], request), (start, end), request)
        shown = []
        for point in found:
            one: dict[str, Any] = {"Timestamp": from_epoch(point.start), "Unit": point.unit}
            one.update({name: point.statistic(name) for name in plain})
            if extended:
                one["ExtendedStatistics"] = {name: point.statistic(name) for name in extended}
            shown.append(one)
        return {"Label": request["MetricName"], "Datapoints": shown}

    @operation("GetMetricData")
    def data(self, request: Request, context: Context) -> Answer:
        """One series for each query; metric math and Metrics Insights are refused."""
        span = _span(request)
        newest_first = request.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        left = int(request.get("MaxDatapoints") or MAX_DATA_DATAPOINTS)
        skip = _offset(request)
        results, passed, cut = [], 0, False
        for query in request["MetricDataQueries"]:
            points = self._of_query(query, span)
            if not query.get("ReturnData", True):
                continue
            if newest_first:
                points.reverse()
            rest = points[max(0, skip - passed) :]
            passed += len(points)
            page, left = rest[:left], left - len(rest[:left])
            cut = cut or len(page) < len(rest)
            results.append(_result(query, page, len(page) < len(rest)))
        answer: Answer = {"MetricDataResults": results, "Messages": []}
        if cut:
            done = skip + sum(len(result["Values"]) for result in results)
            answer["NextToken"] = write_token("GetMetricData", done)
        return answer

    @operation("ListMetrics")
    def list_metrics(self, request: Request, context: Context) -> Answer:
        """Every series that has all the dimensions asked for; 500 a page."""
        recent = _RECENT_SECONDS.get(request.get("RecentlyActive", ""))
        since = None if recent is None else context.now().timestamp() - recent
        wanted = request.get("Dimensions", ())
        listed = self._metrics.list(request.get("Namespace"), request.get("MetricName"), since)
        found = [metric for metric in listed if _has(metric, wanted)]
        if "NextToken" in request:
            last = _token("ListMetrics", request["NextToken"])
            found = [metric for metric in found if _key(metric) > last]
        shown = found[:LIST_PAGE]
        answer: Answer = {
            "Metrics": [
                {
                    "Namespace": metric.namespace,
                    "MetricName": metric.name,
                    "Dimensions": [{"Name": n, "Value": v} for n, v in metric.dimensions.items()],
                }
                for metric in shown
            ]
        }
        if len(found) > len(shown):
            answer["NextToken"] = write_token("ListMetrics", _key(shown[-1]))
        return answer

    def _of_query(self, query: Mapping[str, Any], span: tuple[float, float]) -> list[Any]:
        """(start, value) of each of its datapoints, oldest first."""
        if "MetricStat" not in query:
            raise NotEmulated(
                "cloudwatch",
                "GetMetricData with expressions",
                f"Query '{query['Id']}' has no MetricStat: ask for the metrics that the "
                "expression names and compute it in the client.",
            )
        stat = query["MetricStat"]
        metric = _metric(stat["Metric"]["Namespace"], stat["Metric"])
        found = self._found(metric, span, stat)
        return [(point.start, point.statistic(stat["Stat"])) for point in found]

    def _found(
        self, metric: MetricName, span: tuple[float, float], request: Mapping[str, Any]
    ) -> list[Datapoint]:
        check_period(int(request["Period"]))
        samples = self._metrics.series(metric, *span)
        return datapoints(samples, int(request["Period"]), request.get("Unit"))


def _metric(namespace: str, named: Mapping[str, Any]) -> MetricName:
    dimensions = {d["Name"]: d["Value"] for d in named.get("Dimensions", ())}
    return MetricName(namespace, named["MetricName"], dimensions)


def _samples(datum: Mapping[str, Any], now: datetime) -> Iterable[Sample]:
    """The samples of a MetricDatum, whichever way it gives them."""
    moment, unit = datum.get("Timestamp", now).timestamp(), datum.get("Unit")
    ways = [way for way in ("Value", "Values", "StatisticValues") if datum.get(way) is not None]
    if len(ways) != 1:
        raise _bad_combination(
            f"Metric {datum['MetricName']} must have exactly one of Value, Values and "
            f"StatisticValues; it has {' and '.join(ways) or 'none'}."
        )
    if "Value" in ways:
        return [Sample.of(moment, float(datum["Value"]), unit)]
    if "Values" in ways:
        values = datum["Values"]
        counts = datum.get("Counts") or [1.0] * len(values)
        if len(counts) != len(values):
            raise bad_value(
                f"Metric {datum['MetricName']} has {len(values)} Values and {len(counts)} Counts; "
                "there must be a count for each value."
            )
        return [
            Sample.of(moment, float(v), unit, float(c)) for v, c in zip(values, counts, strict=True)
        ]
    known = datum["StatisticValues"]
    count, total = float(known["SampleCount"]), float(known["Sum"])
    return [Sample(moment, count, total, float(known["Minimum"]), float(known["Maximum"]), unit)]


def _span(request: Request) -> tuple[float, float]:
    """From StartTime, rounded down to the minute as the API pages say, to EndTime, exclusive."""
    start, end = request["StartTime"].timestamp(), request["EndTime"].timestamp()
    if start >= end:
        raise bad_value("The parameter StartTime must be less than the parameter EndTime.")
    return start // _MINUTE * _MINUTE, end


def _result(query: Mapping[str, Any], page: list[Any], is_cut: bool) -> dict[str, Any]:
    return {
        "Id": query["Id"],
        "Label": query.get("Label", query["MetricStat"]["Metric"]["MetricName"]),
        "Timestamps": [from_epoch(start) for start, _ in page],
        "Values": [value for _, value in page],
        "StatusCode": "PartialData" if is_cut else "Complete",
    }


def _has(metric: MetricName, wanted: Iterable[Mapping[str, str]]) -> bool:
    return all(
        w["Name"] in metric.dimensions and w.get("Value") in (None, metric.dimensions[w["Name"]])
        for w in wanted
    )


def _key(metric: MetricName) -> list[Any]:
    dimensions = [list(pair) for pair in sorted(metric.dimensions.items())]
    return [metric.namespace, metric.name, dimensions]


def _offset(request: Request) -> int:
    said = _token("GetMetricData", request["NextToken"]) if "NextToken" in request else 0
    if not isinstance(said, int):
        raise bad_value("The NextToken is invalid.")
    return said


def _token(operation_name: str, token: str) -> Any:
    try:
        return read_token(operation_name, token)
    except ValidationException:
        raise bad_value("The NextToken is invalid.") from None


def _bad_combination(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidParameterCombination", status=400)
