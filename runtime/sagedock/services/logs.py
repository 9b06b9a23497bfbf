"""CloudWatch Logs: groups, streams, and reading and writing their events."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from sagedock.domain.arns import log_group_arn
from sagedock.errors import ServiceError
from sagedock.services.log_filters import read_pattern
from sagedock.services.log_pages import (
    EVENT_OVERHEAD_BYTES,
    MAX_EVENTS,
    event_tokens,
    filter_token,
    page_of_events,
    page_of_names,
    place_of_filter_token,
    place_of_token,
)
from sagedock.services.operation import Answer, Context, Request, operation
from sagedock.store.log_events import (
    Between,
    Chosen,
    LogEvent,
    LogEvents,
    LogExists,
    LogNotFound,
    LogStream,
)

MAX_BATCH_BYTES: Final = 1_048_576
"""Of one PutLogEvents request: messages in UTF-8, and EVENT_OVERHEAD_BYTES for each (API page)."""

_HOUR_MS: Final = 3_600_000
_TOO_NEW_MS: Final = 2 * _HOUR_MS
_TOO_OLD_MS: Final = 14 * 24 * _HOUR_MS
_SPAN_MS: Final = 24 * _HOUR_MS


class LogOperations:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html"""

    service = "logs"

    def __init__(self, events: LogEvents) -> None:
        self._events = events

    # --- groups -------------------------------------------------------------------------------

    @operation("CreateLogGroup")
    def create_group(self, request: Request, context: Context) -> Answer:
        try:
            self._events.create_group(request["logGroupName"], _now_ms(context))
        except LogExists:
            raise _exists("The specified log group already exists") from None
        return {}

    @operation("DeleteLogGroup")
    def delete_group(self, request: Request, context: Context) -> Answer:
        """With everything in it."""
        try:
            self._events.delete_group(request["logGroupName"])
        except LogNotFound as missing:
            raise _not_found(missing) from None
        return {}

    @operation("DescribeLogGroups")
    def describe_groups(self, request: Request, context: Context) -> Answer:
        """By name; a token only when more remain."""
        prefix = request.get("logGroupNamePrefix", "")
        containing = request.get("logGroupNamePattern", "")
        if prefix and containing:
            raise _bad("logGroupNamePrefix and logGroupNamePattern cannot be given together.")
        groups = self._events.groups(prefix, containing)
        shown, token = page_of_names(groups, lambda group: [group.name], request)
        described = []
        for group in shown:
            arn = log_group_arn(context.region, context.account, group.name)
            described.append(
                {
                    "logGroupName": group.name,
                    "creationTime": group.created_ms,
                    "metricFilterCount": 0,
                    "arn": arn + ":*",
                    "logGroupArn": arn,
                    "logGroupClass": "STANDARD",
                    "storedBytes": group.stored_bytes,
                }
            )
        return {"logGroups": described, **token}

    # --- streams ------------------------------------------------------------------------------

    @operation("CreateLogStream")
    def create_stream(self, request: Request, context: Context) -> Answer:
        group = self._group(request)
        if not self._events.create_stream(group, request["logStreamName"], _now_ms(context)):
            raise _exists("The specified log stream already exists")
        return {}

    @operation("DeleteLogStream")
    def delete_stream(self, request: Request, context: Context) -> Answer:
        try:
            self._events.delete_stream(request["logGroupName"], request["logStreamName"])
        except LogNotFound as missing:
            raise _not_found(missing) from None
        return {}

    @operation("DescribeLogStreams")
    def describe_streams(self, request: Request, context: Context) -> Answer:
        """By name or by last event. The SDKs repeat the call while there is a token, without
        sending it (sagemaker session.py, `_flush_log_streams`): one is answered only when more
        remain."""
        group, prefix = self._group(request), request.get("logStreamNamePrefix", "")
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise _bad("Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = self._events.streams(
            group, prefix, by_time=by_time, descending=bool(request.get("descending"))
        )

        def key(stream: LogStream) -> list[Any]:
            return [stream.last_ms or 0, stream.name] if by_time else [stream.name]

        shown, token = page_of_names(streams, key, request)
        arn = log_group_arn(context.region, context.account, group)
        return {"logStreams": [_described(stream, arn) for stream in shown], **token}

    # --- events -------------------------------------------------------------------------------

    @operation("PutLogEvents")
    def put_events(self, request: Request, context: Context) -> Answer:
        """Store a batch; events far from now are left out and named, as in the service."""
        now = _now_ms(context)
        batch = [(int(event["timestamp"]), str(event["message"])) for event in request["logEvents"]]
        _check_batch(batch)
        old = sum(1 for moment, _ in batch if moment < now - _TOO_OLD_MS)
        new = next((i for i, (moment, _) in enumerate(batch) if moment > now + _TOO_NEW_MS), None)
        group, stream = request["logGroupName"], request["logStreamName"]
        try:
            self._events.append(group, stream, batch[old:new], None, now)
        except LogNotFound as missing:
            raise _not_found(missing) from None
        rejected: dict[str, int] = {}
        if old:
            rejected["tooOldLogEventEndIndex"] = old
        if new is not None:
            rejected["tooNewLogEventStartIndex"] = new
        return {"rejectedLogEventsInfo": rejected} if rejected else {}

    @operation("GetLogEvents")
    def get_events(self, request: Request, context: Context) -> Answer:
        """One page of a stream, oldest event first, and a token for either direction.

        At an end the page is empty and the token is the one that was sent: readers, the SDKs'
        log streamers among them, take that for the end and may go on with it later.
        """
        group, stream = self._group(request), request["logStreamName"]
        if not self._events.has_stream(group, stream):
            raise _not_found(LogNotFound("stream", stream))
        between = Between(
            request.get("startTime"),
            request.get("endTime"),
            newest_first=not request.get("startFromHead", False),
        )
        token = request.get("nextToken")
        if token is not None:
            forward, place = place_of_token(token)
            between = between.going_on(not forward, place)
        limit = int(request.get("limit", MAX_EVENTS))
        with closing(self._events.events(group, Chosen([stream]), between)) as found:
            events, _ = page_of_events(found, limit)
        if between.newest_first:
            events.reverse()
        return {"events": [_shown(event) for event in events], **event_tokens(events, token)}

    @operation("FilterLogEvents")
    def filter_events(self, request: Request, context: Context) -> Answer:
        """Matching events of several streams, interleaved by time; a token only when more
        remain."""
        group, chosen = self._group(request), _chosen(request)
        wanted = read_pattern(request.get("filterPattern", ""))
        end = request.get("endTime")
        between = Between(
            request.get("startTime"),
            None if end is None else end + 1,  # the API page: later than endTime are left out
            newest_first=not request.get("startFromHead", True),
        )
        if "nextToken" in request:
            newest_first, place = place_of_filter_token(request["nextToken"])
            between = between.going_on(newest_first, place)
        with closing(self._events.events(group, chosen, between)) as found:
            matching = (event for event in found if wanted.matches(event.message))
            events, more = page_of_events(matching, int(request.get("limit", MAX_EVENTS)))
        shown = [{"logStreamName": e.stream, **_shown(e), "eventId": _event_id(e)} for e in events]
        answer: Answer = {"events": shown, "searchedLogStreams": []}
        if more:
            answer["nextToken"] = filter_token(between.newest_first, events[-1].place)
        return answer

    def _group(self, request: Request) -> str:
        """The group's name, of logGroupName or of logGroupIdentifier (a name or an ARN)."""
        name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise _bad("Give either logGroupName or logGroupIdentifier, and not both.")
        group = str(name or identifier).rpartition(":log-group:")[2].removesuffix(":*")
        if not self._events.has_group(group):
            raise _not_found(LogNotFound("group", group))
        return group


def _described(stream: LogStream, group_arn: str) -> dict[str, Any]:
    times = {
        "firstEventTimestamp": stream.first_ms,
        "lastEventTimestamp": stream.last_ms,
        "lastIngestionTime": stream.ingested_ms,
    }
    return {
        "logStreamName": stream.name,
        "creationTime": stream.created_ms,
        **{name: moment for name, moment in times.items() if moment is not None},
        "arn": f"{group_arn}:log-stream:{stream.name}",
        "storedBytes": 0,  # the API page: always zero since 2019
    }


def _shown(event: LogEvent) -> dict[str, Any]:
    return {
        "timestamp": event.place.timestamp_ms,
        "message": event.message,
        "ingestionTime": event.ingested_ms,
    }


def _event_id(event: LogEvent) -> str:
    """56 digits, as the service's."""
    return f"{event.place.timestamp_ms:020d}{event.place.row:036d}"


def _chosen(request: Request) -> Chosen:
    if "logStreamNames" in request and "logStreamNamePrefix" in request:
        raise _bad("logStreamNames and logStreamNamePrefix cannot be given together.")
    return Chosen(request.get("logStreamNames"), request.get("logStreamNamePrefix", ""))


def _check_batch(batch: list[tuple[int, str]]) -> None:
    """API_PutLogEvents.html: in order of time, within a day, 1 MB at the most."""
    moments = [moment for moment, _ in batch]
    if moments != sorted(moments):
        raise _bad("Log events in a single PutLogEvents request must be in chronological order.")
    if moments[-1] - moments[0] > _SPAN_MS:
        raise _bad(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 "
            "hours."
        )
    size = sum(len(message.encode()) + EVENT_OVERHEAD_BYTES for _, message in batch)
    if size > MAX_BATCH_BYTES:
        raise _bad(f"Upload too large: {size} bytes exceeds limit of {MAX_BATCH_BYTES}")


def _now_ms(context: Context) -> int:
    return int(context.now().timestamp() * 1000)


def _not_found(missing: LogNotFound) -> ServiceError:
    return ServiceError(
        f"The specified log {missing.missing} does not exist.",
        code="ResourceNotFoundException",
        status=400,
    )


def _exists(message: str) -> ServiceError:
    return ServiceError(message, code="ResourceAlreadyExistsException", status=400)


def _bad(message: str) -> ServiceError:
    return ServiceError(message, code="InvalidParameterException", status=400)
