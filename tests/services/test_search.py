"""Search: conditions on properties, their combination, order, pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.desk import DATA, Desk, channel


@pytest.fixture
def jobs(desk: Desk) -> Desk:
    """small, large and failed: with hyperparameters, tags, metrics, channels."""
    desk.objects.put_bytes("data", "cats/1", b"")
    desk.train("small", HyperParameters={"rate": "0.1", "word": '"a"'}, Tags=_tag("team", "red"))
    desk.train(
        "large",
        HyperParameters={"rate": "0.9"},
        Tags=_tag("team", "blue"),
        InputDataConfig=[channel("train", "s3://data/cats/"), channel("test", DATA)],
    )
    desk.train("failed")
    desk.jobs.save(desk.jobs.get("failed").failed("AlgorithmError: x", desk.now()))
    for name, accuracy in (("small", 0.95), ("large", 0.8)):
        metric = {"MetricName": "accuracy", "Value": accuracy, "Timestamp": 1.0}
        desk.jobs.save(replace(desk.jobs.get(name), metrics=(metric,)))
    return desk


def _tag(key: str, value: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value}]


def _where(name: str, operator: str | None = None, value: str | None = None) -> dict[str, Any]:
    said = {"Name": name, "Operator": operator, "Value": value}
    return {key: text for key, text in said.items() if text is not None}


def _found(desk: Desk, *filters: dict[str, Any], **more: Any) -> list[str]:
    ask: dict[str, Any] = {"Resource": "TrainingJob", "SortBy": "CreationTime", **more}
    if filters:
        ask["SearchExpression"] = {"Filters": list(filters)}
    ask.setdefault("SortOrder", "Ascending")
    answer = desk.sagemaker("Search", **ask)
    return [result["TrainingJob"]["TrainingJobName"] for result in answer["Results"]]


CONDITIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "equal text": (_where("TrainingJobStatus", "Equals", "Failed"), ["failed"]),
    "equality is the default": (_where("TrainingJobStatus", None, "Failed"), ["failed"]),
    "other text": (_where("TrainingJobStatus", "NotEquals", "Failed"), ["small", "large"]),
    "contains": (_where("TrainingJobName", "Contains", "l"), ["small", "large", "failed"]),
    "one of": (_where("TrainingJobName", "In", "small, failed"), ["small", "failed"]),
    "exists": (_where("FailureReason", "Exists"), ["failed"]),
    "exists by default": (_where("FailureReason"), ["failed"]),
    "does not exist": (_where("FailureReason", "NotExists"), ["small", "large"]),
    "metric": (_where("Metrics.accuracy", "GreaterThan", "0.9"), ["small"]),
    "hyperparameter": (_where("HyperParameters.rate", "LessThan", "0.5"), ["small"]),
    "as integers": (_where("HyperParameters.rate", "Equals", "0"), ["small", "large"]),
    "no number": (_where("HyperParameters.word", "GreaterThan", "0"), []),
    "tag": (_where("Tags.team", "Equals", "blue"), ["large"]),
    "number": (_where("ResourceConfig.InstanceCount", "GreaterThanOrEqualTo", "2"), []),
    "flag": (_where("EnableNetworkIsolation", "Equals", "true"), []),
    "time": (
        _where("CreationTime", "LessThan", "2030-01-01T00:00:00"),
        ["small", "large", "failed"],
    ),
    "through a list": (_where("InputDataConfig.ChannelName", "Equals", "test"), ["large"]),
}


@pytest.mark.evidence("docs", "API_Filter.html")
@pytest.mark.parametrize(("condition", "names"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_a_condition_finds_its_jobs(
    jobs: Desk, condition: dict[str, Any], names: list[str]
) -> None:
    assert _found(jobs, condition) == names


@pytest.mark.evidence("docs", "API_NestedFilters.html: a single object satisfies all")
def test_a_nested_filter_wants_one_item_that_satisfies_all(jobs: Desk) -> None:
    def nested(name: str, uri: str) -> list[str]:
        filters = [
            _where("InputDataConfig.ChannelName", "Equals", name),
            _where("InputDataConfig.DataSource.S3DataSource.S3Uri", "Contains", uri),
        ]
        expression = {
            "NestedFilters": [{"NestedPropertyName": "InputDataConfig", "Filters": filters}]
        }
        return _found(jobs, SearchExpression=expression)

    assert nested("train", "cats") == ["large"]
    assert nested("test", "cats") == []


def test_expressions_nest_and_combine_with_and_and_or(jobs: Desk) -> None:
    red, blue = _where("Tags.team", "Equals", "red"), _where("Tags.team", "Equals", "blue")
    either = {"Operator": "Or", "Filters": [red, blue]}
    slow = {"Filters": [_where("HyperParameters.rate", "LessThan", "0.5")]}
    assert _found(jobs, SearchExpression=either) == ["small", "large"]
    assert _found(jobs, SearchExpression={"SubExpressions": [either, slow]}) == ["small"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ({}, "at least one"),
        ({"Filters": [_where("Colour", "Exists")]}, "Unknown property name 'Colour'"),
        ({"Filters": [_where("ResourceConfig.Colour", "Exists")]}, "has no 'Colour'"),
        ({"Filters": [_where("TrainingJobName", "Equals")]}, "no Value"),
        ({"Filters": [_where("CreationTime", "LessThan", "soon")]}, "ISO 8601"),
        ({"Filters": [_where("ResourceConfig.InstanceCount", "Equals", "x")]}, "a number"),
        ({"Filters": [_where("TrainingJobName", "Contains", "a")] * 2}, "limit of 1 exceeded"),
    ],
)
def test_an_expression_that_says_nothing_useful_is_refused(
    jobs: Desk, expression: dict[str, Any], words: str
) -> None:
    refused = jobs.refusal(
        "sagemaker", "Search", Resource="TrainingJob", SearchExpression=expression
    )
    assert (refused.code, words in refused.message) == ("ValidationException", True)


@pytest.mark.evidence("docs", "API_Search.html: VisibilityConditions")
def test_visibility_conditions_hide_only_other_values_of_the_tag(jobs: Desk) -> None:
    red = [{"Key": "Tags.team", "Value": "red"}]
    assert _found(jobs, VisibilityConditions=red) == ["small", "failed"]


def test_results_are_sorted_and_paged(jobs: Desk) -> None:
    ask: dict[str, Any] = {
        "Resource": "TrainingJob",
        "SortBy": "Metrics.accuracy",
        "MaxResults": 2,
    }
    first = jobs.sagemaker("Search", **ask)
    assert first["TotalHits"] == {"Value": 3, "Relation": "EqualTo"}
    last = jobs.sagemaker("Search", NextToken=first["NextToken"], **ask)
    names = [r["TrainingJob"]["TrainingJobName"] for r in first["Results"] + last["Results"]]
    assert names == ["small", "large", "failed"]
    assert "NextToken" not in last


@pytest.mark.evidence("docs", "API_Search.html: SortBy")
def test_the_last_modified_comes_first_by_default(jobs: Desk) -> None:
    jobs.move("small", "Downloading")
    answer = jobs.sagemaker("Search", Resource="TrainingJob", MaxResults=1)
    assert answer["Results"][0]["TrainingJob"]["TrainingJobName"] == "small"
    assert answer["Results"][0]["TrainingJob"]["Tags"] == _tag("team", "red")


def test_endpoints_are_found_too_and_other_kinds_are_not_emulated(desk: Desk) -> None:
    desk.deploy("e")
    found = desk.sagemaker("Search", Resource="Endpoint")["Results"]
    assert found[0]["Endpoint"]["EndpointStatus"] == "InService"
    assert desk.refusal("sagemaker", "Search", Resource="Pipeline").status == 501
