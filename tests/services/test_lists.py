"""Lists: filters, order, pages and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.desk import Desk


def _jobs(desk: Desk, **ask: Any) -> list[str]:
    answer = desk.sagemaker("ListTrainingJobs", **ask)
    return [job["TrainingJobName"] for job in answer["TrainingJobSummaries"]]


def _pages(desk: Desk, operation: str, member: str, name: str, **ask: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    more: dict[str, str] = {}
    while True:
        answer = desk.sagemaker(operation, **ask, **more)
        pages.append([item[name] for item in answer[member]])
        if "NextToken" not in answer:
            return pages
        more = {"NextToken": answer["NextToken"]}


@pytest.fixture
def five(desk: Desk) -> Desk:
    for name in ("b-1", "a-2", "b-3", "a-4", "c-5"):
        desk.train(name)
    desk.finish("a-2")
    desk.finish("c-5")
    return desk


@pytest.mark.evidence("docs", "API_ListTrainingJobs.html: default order")
def test_jobs_are_listed_oldest_first_unless_asked_otherwise(five: Desk) -> None:
    assert _jobs(five) == ["b-1", "a-2", "b-3", "a-4", "c-5"]
    assert _jobs(five, SortOrder="Descending") == ["c-5", "a-4", "b-3", "a-2", "b-1"]
    assert _jobs(five, SortBy="Name") == ["a-2", "a-4", "b-1", "b-3", "c-5"]
    assert _jobs(five, SortBy="Status") == ["a-2", "c-5", "a-4", "b-1", "b-3"]


def test_jobs_are_filtered_by_name_status_and_time(five: Desk) -> None:
    assert _jobs(five, NameContains="a-") == ["a-2", "a-4"]
    assert _jobs(five, StatusEquals="Completed") == ["a-2", "c-5"]
    third = five.jobs.get("b-3").created
    assert _jobs(five, CreationTimeAfter=third) == ["a-4", "c-5"]
    assert _jobs(five, CreationTimeBefore=third) == ["b-1", "a-2"]
    ended = five.jobs.get("a-2").modified
    assert _jobs(five, LastModifiedTimeAfter=ended) == ["c-5"]
    assert _jobs(five, LastModifiedTimeBefore=ended) == ["b-1", "b-3", "a-4"]


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("sort_by", ["Name", "CreationTime", "Status"])
def test_pages_hold_every_job_once_in_order(five: Desk, sort_by: str, order: str) -> None:
    ask = {"SortBy": sort_by, "SortOrder": order}
    pages = _pages(
        five, "ListTrainingJobs", "TrainingJobSummaries", "TrainingJobName", MaxResults=2, **ask
    )
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [name for page in pages for name in page] == _jobs(five, **ask)


def test_there_is_a_token_only_when_more_remain(five: Desk) -> None:
    answer = five.sagemaker("ListTrainingJobs", MaxResults=5)
    assert "NextToken" not in answer
    assert "NextToken" in five.sagemaker("ListTrainingJobs", MaxResults=4)


def test_ten_are_answered_by_default(desk: Desk) -> None:
    for number in range(11):
        desk.train(f"job-{number}")
    assert len(_jobs(desk)) == 10


@pytest.mark.evidence("docs", "API_ListTrainingJobs.html: StatusEquals with MaxResults")
def test_max_results_are_taken_before_the_status_is_looked_at(five: Desk) -> None:
    ask = {"StatusEquals": "Completed", "MaxResults": 2}
    pages = _pages(five, "ListTrainingJobs", "TrainingJobSummaries", "TrainingJobName", **ask)
    assert pages == [["a-2"], [], ["c-5"]]


def test_a_page_does_not_shift_when_jobs_come_and_go(five: Desk) -> None:
    ask: dict[str, Any] = {"SortBy": "Name", "MaxResults": 2}
    first = five.sagemaker("ListTrainingJobs", **ask)
    five.sagemaker("DeleteTrainingJob", TrainingJobName="a-2")
    five.train("a-0")
    assert _jobs(five, NextToken=first["NextToken"], **ask) == ["b-1", "b-3"]


@pytest.mark.parametrize("token", ["nonsense", "bm9uc2Vuc2U", "é", "W10"])
def test_a_token_that_we_did_not_write_is_refused(five: Desk, token: str) -> None:
    refused = five.refusal("sagemaker", "ListTrainingJobs", NextToken=token)
    assert (refused.code, "NextToken" in refused.message) == ("ValidationException", True)


def test_a_token_of_another_order_or_operation_is_refused(five: Desk) -> None:
    token = five.sagemaker("ListTrainingJobs", MaxResults=1)["NextToken"]
    for operation, ask in (("ListTrainingJobs", {"SortBy": "Name"}), ("ListModels", {})):
        refused = five.refusal("sagemaker", operation, NextToken=token, **ask)
        assert refused.code == "ValidationException"


@pytest.mark.evidence("docs", "API_ListModels.html and neighbours: newest first")
def test_models_configurations_and_endpoints_are_listed_newest_first(desk: Desk) -> None:
    for name in ("x", "y", "z"):
        desk.deploy(name)
    for operation, member, name in (
        ("ListModels", "Models", "ModelName"),
        ("ListEndpointConfigs", "EndpointConfigs", "EndpointConfigName"),
        ("ListEndpoints", "Endpoints", "EndpointName"),
    ):
        pages = _pages(desk, operation, member, name, MaxResults=2)
        assert pages == [["z", "y"], ["x"]]
        assert _pages(desk, operation, member, name, NameContains="y") == [["y"]]


@pytest.mark.evidence("docs", "API_ListModels.html: greater than or equal")
def test_creation_time_after_finds_the_moment_itself_for_models(desk: Desk) -> None:
    for name in ("x", "y", "z"):
        desk.make_model(name)
    second = desk.models.get("y").created
    found = desk.sagemaker("ListModels", CreationTimeAfter=second)["Models"]
    assert [model["ModelName"] for model in found] == ["z", "y"]
    later = second + timedelta(microseconds=1)
    assert len(desk.sagemaker("ListModels", CreationTimeAfter=later)["Models"]) == 1


def test_endpoints_are_filtered_by_status(desk: Desk) -> None:
    desk.deploy("up")
    desk.sagemaker("CreateEndpoint", EndpointName="coming", EndpointConfigName="up")
    found = desk.sagemaker("ListEndpoints", StatusEquals="InService")["Endpoints"]
    assert [endpoint["EndpointName"] for endpoint in found] == ["up"]


def test_no_job_has_a_warm_pool(five: Desk) -> None:
    assert _jobs(five, WarmPoolStatusEquals="Available") == []
