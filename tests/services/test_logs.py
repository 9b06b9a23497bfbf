"""CloudWatch Logs as the SDKs, boto3 scripts and the AWS CLI read and write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.desk import NOON, Desk

GROUP = "/aws/sagemaker/TrainingJobs"
START = int(NOON.timestamp() * 1000)


def _write(desk: Desk, stream: str, *lines: tuple[int, str], group: str = GROUP) -> None:
    """Append lines at START + so many ms."""
    desk.events.create_stream(group, stream, START)
    events = [(START + moment, text) for moment, text in lines]
    desk.events.append(group, stream, events, None, START)


def _get(desk: Desk, stream: str, **ask: Any) -> dict[str, Any]:
    ask.setdefault("startFromHead", True)
    return desk.answer("logs", "GetLogEvents", logGroupName=GROUP, logStreamName=stream, **ask)


def _texts(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def _streams(desk: Desk, **ask: Any) -> list[str]:
    answer = desk.answer("logs", "DescribeLogStreams", logGroupName=GROUP, **ask)
    return [stream["logStreamName"] for stream in answer["logStreams"]]


def _read_like_the_sdk(desk: Desk, stream: str, start_time: int, skip: int) -> Iterator[Any]:
    """sagemaker/logs.py, `log_stream`: pages until one is empty, less the first `skip`."""
    token: dict[str, str] = {}
    while True:
        answer = _get(desk, stream, startTime=start_time, **token)
        events = answer["events"]
        token = {"nextToken": answer["nextForwardToken"]}
        if not events:
            return
        skip, skipped = max(0, skip - len(events)), min(skip, len(events))
        yield from events[skipped:]


# --- reading a stream -----------------------------------------------------------------------------


@pytest.mark.evidence("sdk-source", "sagemaker 1.72 and 2.x logs.py")
def test_the_sdks_streamer_sees_every_line_once_while_lines_come(desk: Desk) -> None:
    seen: list[str] = []
    last, at_last = 0, 0
    batches = [[(0, "a"), (5, "b"), (5, "c")], [(5, "d"), (5, "e"), (9, "f")], [], [(9, "g")]]
    for batch in batches:
        _write(desk, "s", *batch)
        for event in _read_like_the_sdk(desk, "s", last, at_last):
            seen.append(event["message"])
            moment = event["timestamp"]
            last, at_last = moment, at_last + 1 if moment == last else 1
    assert seen == list("abcdefg")


@pytest.mark.evidence("docs", "API_GetLogEvents.html: the same token at the end")
def test_at_the_end_comes_an_empty_page_with_the_token_that_was_sent(desk: Desk) -> None:
    _write(desk, "s", (1, "a"), (2, "b"))
    first = _get(desk, "s")
    token = first["nextForwardToken"]
    end = _get(desk, "s", nextToken=token)
    assert (end["events"], end["nextForwardToken"]) == ([], token)
    _write(desk, "s", (3, "c"))
    assert _texts(_get(desk, "s", nextToken=token)) == ["c"]


def test_an_empty_stream_has_tokens_that_lead_to_its_first_line(desk: Desk) -> None:
    _write(desk, "s")
    empty = _get(desk, "s")
    assert empty["events"] == []
    assert empty["nextForwardToken"].startswith("f/")
    assert empty["nextBackwardToken"].startswith("b/")
    _write(desk, "s", (1, "a"))
    assert _texts(_get(desk, "s", nextToken=empty["nextForwardToken"])) == ["a"]


def test_from_the_tail_pages_lead_backward_and_each_is_oldest_first(desk: Desk) -> None:
    _write(desk, "s", *[(number, str(number)) for number in range(5)])
    tail = _get(desk, "s", startFromHead=False, limit=2)
    assert _texts(tail) == ["3", "4"]
    before = _get(desk, "s", nextToken=tail["nextBackwardToken"], limit=2)
    assert _texts(before) == ["1", "2"]
    assert _texts(_get(desk, "s", nextToken=before["nextForwardToken"])) == ["3", "4"]


def test_turning_round_at_an_end_loses_and_doubles_nothing(desk: Desk) -> None:
    _write(desk, "s", (1, "a"), (1, "b"), (2, "c"))
    top = _get(desk, "s", nextToken=_get(desk, "s", limit=1)["nextBackwardToken"])
    assert top["events"] == []
    assert _texts(_get(desk, "s", nextToken=top["nextForwardToken"])) == ["a", "b", "c"]
    bottom = _get(desk, "s", nextToken=_get(desk, "s")["nextForwardToken"])
    assert _texts(_get(desk, "s", nextToken=bottom["nextBackwardToken"])) == ["a", "b", "c"]


@pytest.mark.evidence("docs", "API_GetLogEvents.html: startTime inclusive, endTime exclusive")
def test_the_start_is_inclusive_and_the_end_is_not(desk: Desk) -> None:
    _write(desk, "s", (1, "a"), (2, "b"), (3, "c"))
    assert _texts(_get(desk, "s", startTime=START + 2)) == ["b", "c"]
    assert _texts(_get(desk, "s", endTime=START + 2)) == ["a"]


@pytest.mark.evidence("docs", "API_GetLogEvents.html: 1 MB a page")
def test_a_page_holds_a_megabyte_and_one_event_at_least(desk: Desk) -> None:
    _write(desk, "s", (1, "x" * 700_000), (2, "y" * 700_000), (3, "z" * 2_000_000), (4, "end"))
    pages, token = [], {}
    while not pages or pages[-1]:
        answer = _get(desk, "s", **token)
        pages.append([text[:1] for text in _texts(answer)])
        token = {"nextToken": answer["nextForwardToken"]}
    assert pages == [["x"], ["y"], ["z"], ["e"], []]


def test_an_empty_line_is_a_space_because_no_event_is_empty(desk: Desk) -> None:
    _write(desk, "s", (1, ""), (2, "b"))
    assert _texts(_get(desk, "s")) == [" ", "b"]


@pytest.mark.parametrize("token", ["x", "f/12", "f/" + "9" * 57 + "/s"])
def test_a_token_that_is_none_is_refused(desk: Desk, token: str) -> None:
    _write(desk, "s")
    ask = {"logGroupName": GROUP, "logStreamName": "s", "nextToken": token}
    assert desk.refusal("logs", "GetLogEvents", **ask).code == "InvalidParameterException"


# --- groups and streams ---------------------------------------------------------------------------


@pytest.mark.evidence("sdk-source", "sagemaker session.py tolerates ResourceNotFoundException")
@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("DescribeLogStreams", {}),
        ("GetLogEvents", {"logStreamName": "s"}),
        ("FilterLogEvents", {}),
        ("CreateLogStream", {"logStreamName": "s"}),
        ("DeleteLogGroup", {}),
        ("PutLogEvents", {"logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}),
    ],
)
def test_a_group_that_is_not_there_is_told(
    desk: Desk, operation: str, more: dict[str, Any]
) -> None:
    refused = desk.refusal("logs", operation, logGroupName="/no/such", **more)
    assert (refused.code, refused.status) == ("ResourceNotFoundException", 400)
    assert refused.message == "The specified log group does not exist."


def test_a_stream_that_is_not_there_is_told(desk: Desk) -> None:
    _write(desk, "s")
    ask = {"logGroupName": GROUP, "logStreamName": "other"}
    for operation in ("GetLogEvents", "DeleteLogStream"):
        refused = desk.refusal("logs", operation, **ask)
        assert refused.message == "The specified log stream does not exist."


@pytest.mark.evidence("recorded", "control-plane reference 3e: the SDK repeats without the token")
def test_streams_have_a_token_only_when_more_remain(desk: Desk) -> None:
    for number in range(4):
        _write(desk, f"job/algo-{number}")
    _write(desk, "job2/algo-1")
    ask = {"logGroupName": GROUP, "logStreamNamePrefix": "job/"}
    assert "nextToken" not in desk.answer("logs", "DescribeLogStreams", limit=4, **ask)
    first = desk.answer("logs", "DescribeLogStreams", limit=3, **ask)
    rest = desk.answer("logs", "DescribeLogStreams", nextToken=first["nextToken"], **ask)
    assert [s["logStreamName"] for s in rest["logStreams"]] == ["job/algo-3"]
    assert "nextToken" not in rest


def test_streams_are_ordered_by_name_or_by_their_last_event(desk: Desk) -> None:
    _write(desk, "b", (1, "x"), (9, "x"))
    _write(desk, "a", (5, "x"))
    _write(desk, "c")
    assert _streams(desk) == ["a", "b", "c"]
    assert _streams(desk, descending=True) == ["c", "b", "a"]
    assert _streams(desk, orderBy="LastEventTime", descending=True) == ["b", "a", "c"]
    ask = {"orderBy": "LastEventTime", "logStreamNamePrefix": "a"}
    refused = desk.refusal("logs", "DescribeLogStreams", logGroupName=GROUP, **ask)
    assert "LastEventTime" in refused.message


def test_streams_by_last_event_are_paged(desk: Desk) -> None:
    for name, moment in (("a", 3), ("b", 2), ("c", 1)):
        _write(desk, name, (moment, "x"))
    ask: dict[str, Any] = {"orderBy": "LastEventTime", "descending": True, "limit": 2}
    first = desk.answer("logs", "DescribeLogStreams", logGroupName=GROUP, **ask)
    assert _streams(desk, nextToken=first["nextToken"], **ask) == ["c"]


def test_a_stream_tells_its_times(desk: Desk) -> None:
    _write(desk, "s", (1, "a"), (7, "b"))
    (shown,) = desk.answer("logs", "DescribeLogStreams", logGroupName=GROUP)["logStreams"]
    assert (shown["firstEventTimestamp"], shown["lastEventTimestamp"]) == (START + 1, START + 7)
    assert shown["arn"].endswith(":log-group:/aws/sagemaker/TrainingJobs:log-stream:s")


def test_groups_are_listed_by_prefix_or_part(desk: Desk) -> None:
    for group in ("/a/one", "/a/two", "/b"):
        desk.answer("logs", "CreateLogGroup", logGroupName=group)
    _write(desk, "s", (1, "four"), group="/a/two")

    def names(**ask: Any) -> list[str]:
        found = desk.answer("logs", "DescribeLogGroups", **ask)["logGroups"]
        return [group["logGroupName"] for group in found]

    assert names() == ["/a/one", "/a/two", "/b"]
    assert names(logGroupNamePrefix="/a/") == ["/a/one", "/a/two"]
    assert names(logGroupNamePattern="two") == ["/a/two"]
    (two,) = desk.answer("logs", "DescribeLogGroups", logGroupNamePattern="two")["logGroups"]
    assert two["storedBytes"] == 4


def test_a_deleted_group_takes_its_streams_and_events_with_it(desk: Desk) -> None:
    _write(desk, "s", (1, "a"))
    desk.answer("logs", "DeleteLogGroup", logGroupName=GROUP)
    _write(desk, "s")
    assert _get(desk, "s")["events"] == []


# --- writing --------------------------------------------------------------------------------------


def test_a_script_can_make_groups_and_streams_and_write_to_them(desk: Desk) -> None:
    ask = {"logGroupName": "/mine", "logStreamName": "s"}
    desk.answer("logs", "CreateLogGroup", logGroupName="/mine")
    desk.answer("logs", "CreateLogStream", **ask)
    events = [{"timestamp": START, "message": "one"}, {"timestamp": START + 1, "message": "two"}]
    assert desk.answer("logs", "PutLogEvents", logEvents=events, **ask) == {}
    assert _texts(desk.answer("logs", "GetLogEvents", **ask)) == ["one", "two"]
    for operation, again in (
        ("CreateLogGroup", {"logGroupName": "/mine"}),
        ("CreateLogStream", ask),
    ):
        refused = desk.refusal("logs", operation, **again)
        assert refused.code == "ResourceAlreadyExistsException"


@pytest.mark.evidence("docs", "API_PutLogEvents.html: 14 days back, 2 hours ahead")
def test_events_far_from_now_are_left_out_and_named(desk: Desk) -> None:
    _write(desk, "s")
    day = 24 * 3_600_000
    ask = {"logGroupName": GROUP, "logStreamName": "s"}

    def put(*moments: int) -> dict[str, Any]:
        events = [{"timestamp": START + moment, "message": "m"} for moment in moments]
        return desk.answer("logs", "PutLogEvents", logEvents=events, **ask)

    assert put(-15 * day, -14 * day - 1) == {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 2}}
    assert put(0, 3 * 3_600_000) == {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 1}}
    assert len(_get(desk, "s")["events"]) == 1


@pytest.mark.evidence("docs", "API_PutLogEvents.html")
@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([(2, "a"), (1, "b")], "chronological order"),
        ([(0, "a"), (24 * 3_600_000 + 1, "b")], "24 hours"),
        ([(0, "a" * 600_000), (0, "b" * 600_000)], "exceeds limit of 1048576"),
    ],
)
def test_a_batch_that_breaks_a_rule_is_refused_whole(
    desk: Desk, events: list[tuple[int, str]], words: str
) -> None:
    _write(desk, "s")
    batch = [{"timestamp": START - 1000 + moment, "message": text} for moment, text in events]
    ask = {"logGroupName": GROUP, "logStreamName": "s", "logEvents": batch}
    assert words in desk.refusal("logs", "PutLogEvents", **ask).message
    assert _get(desk, "s")["events"] == []


# --- filtering ------------------------------------------------------------------------------------


def _filter(desk: Desk, **ask: Any) -> list[tuple[str, str]]:
    answer = desk.answer("logs", "FilterLogEvents", logGroupName=GROUP, **ask)
    return [(event["logStreamName"], event["message"]) for event in answer["events"]]


@pytest.fixture
def two_hosts(desk: Desk) -> Desk:
    _write(desk, "job/1", (1, "epoch 1 loss=0.5"), (3, "WARNING slow"))
    _write(desk, "job/2", (2, "epoch 1 loss=0.7"), (4, "error: bad"))
    _write(desk, "other/1", (2, "epoch 9"))
    return desk


@pytest.mark.evidence("recorded", "control-plane reference, section 5: moto answers every stream")
def test_filtering_honours_the_streams_prefix_and_interleaves_by_time(two_hosts: Desk) -> None:
    found = _filter(two_hosts, logStreamNamePrefix="job/")
    assert [stream for stream, _ in found] == ["job/1", "job/2", "job/1", "job/2"]
    assert _filter(two_hosts, logStreamNames=["other/1"]) == [("other/1", "epoch 9")]
    ask = {"logStreamNamePrefix": "job/", "logStreamNames": ["x"]}
    refused = two_hosts.refusal("logs", "FilterLogEvents", logGroupName=GROUP, **ask)
    assert refused.code == "InvalidParameterException"


@pytest.mark.evidence("docs", "FilterAndPatternSyntax.html")
@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("", 4),
        ("epoch", 2),
        ("epoch 0.5", 1),
        ('"epoch 1"', 2),
        ('"1 epoch"', 0),
        ("warning", 0),
        ("-epoch", 2),
        ("epoch -0.7", 1),
        ("?WARNING ?error", 2),
        ('"error:" ?WARNING', 1),
    ],
)
def test_patterns_of_terms(two_hosts: Desk, pattern: str, count: int) -> None:
    ask = {"filterPattern": pattern, "logStreamNamePrefix": "job/"}
    assert len(_filter(two_hosts, **ask)) == count


@pytest.mark.parametrize("pattern", ["{ $.level = 1 }", "[ip, user]", "%[0-9]%", '"open'])
def test_patterns_that_are_not_emulated_are_refused(two_hosts: Desk, pattern: str) -> None:
    ask = {"logGroupName": GROUP, "filterPattern": pattern}
    refused = two_hosts.refusal("logs", "FilterLogEvents", **ask)
    assert (refused.code, pattern in refused.message) == ("InvalidParameterException", True)


@pytest.mark.evidence("docs", "API_FilterLogEvents.html: endTime inclusive")
def test_a_filters_times_are_both_inclusive(two_hosts: Desk) -> None:
    found = _filter(two_hosts, startTime=START + 3, endTime=START + 4)
    assert [text for _, text in found] == ["WARNING slow", "error: bad"]


@pytest.mark.parametrize("from_head", [True, False])
def test_filter_pages_hold_every_match_once(two_hosts: Desk, from_head: bool) -> None:
    ask = {"logGroupName": GROUP, "filterPattern": "epoch", "startFromHead": from_head, "limit": 1}
    texts, token = [], {}
    while True:
        answer = two_hosts.answer("logs", "FilterLogEvents", **ask, **token)
        texts += _texts(answer)
        if "nextToken" not in answer:
            break
        token = {"nextToken": answer["nextToken"]}
    assert texts == ["epoch 1 loss=0.5", "epoch 1 loss=0.7", "epoch 9"][:: 1 if from_head else -1]


def test_a_group_may_be_named_by_its_arn(two_hosts: Desk) -> None:
    arn = f"arn:aws:logs:eu-west-1:123456789012:log-group:{GROUP}"
    ask = {"logStreamName": "other/1"}
    found = two_hosts.answer("logs", "GetLogEvents", logGroupIdentifier=arn, **ask)
    assert _texts(found) == ["epoch 9"]
    refused = two_hosts.refusal("logs", "GetLogEvents", **ask)
    assert "logGroupIdentifier" in refused.message
