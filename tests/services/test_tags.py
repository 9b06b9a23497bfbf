"""Tags: added, overwritten, listed, deleted; limits."""

from __future__ import annotations

import pytest

from services.desk import Desk


def _tags(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def test_tags_of_the_request_and_added_ones_are_listed_in_order(desk: Desk) -> None:
    arn = desk.train("tagged", Tags=_tags(k="v", l="w"))
    answer = desk.sagemaker("AddTags", ResourceArn=arn, Tags=_tags(x="1", k="new"))
    assert answer["Tags"] == _tags(k="new", l="w", x="1")
    desk.sagemaker("DeleteTags", ResourceArn=arn, TagKeys=["l", "not-there"])
    assert desk.sagemaker("ListTags", ResourceArn=arn)["Tags"] == _tags(k="new", x="1")


def test_describe_does_not_show_tags(desk: Desk) -> None:
    desk.train("tagged", Tags=_tags(k="v"))
    assert "Tags" not in desk.job("tagged")


def test_a_resource_has_fifty_tags_at_the_most(desk: Desk) -> None:
    arn = desk.train("full", Tags=_tags(**{f"k{number}": "" for number in range(50)}))
    refused = desk.refusal("sagemaker", "AddTags", ResourceArn=arn, Tags=_tags(one="more"))
    assert (refused.code, "51 tags" in refused.message) == ("ResourceLimitExceeded", True)
    desk.sagemaker("AddTags", ResourceArn=arn, Tags=_tags(k7="overwritten"))
    assert len(desk.sagemaker("ListTags", ResourceArn=arn)["Tags"]) == 50


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ("training-job/no", "Requested resource not found."),
        ("endpoint/no", 'Could not find endpoint "'),
        ("notebook-instance/no", 'Could not find resource "no"'),
    ],
)
def test_tags_of_what_is_not_there_are_refused(desk: Desk, resource: str, words: str) -> None:
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:{resource}"
    for operation, more in (
        ("ListTags", {}),
        ("AddTags", {"Tags": _tags(k="v")}),
        ("DeleteTags", {"TagKeys": ["k"]}),
    ):
        refused = desk.refusal("sagemaker", operation, ResourceArn=arn, **more)
        assert refused.code == "ValidationException"
        assert words in refused.message
