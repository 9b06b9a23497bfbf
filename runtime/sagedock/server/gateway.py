"""The journey of one AWS request: route, parse, validate, the operation, serialize.

It runs as a whole in a thread of a bounded pool, for everything below it is ordinary synchronous
Python. Here alone a ServiceError becomes an answer, and an exception that nobody meant becomes an
InternalFailure whose text says that the fault is ours.

A `Held` answer is kept back for clients that poll. boto3's waiters ask a training job's state
every 120 s and the SageMaker SDKs every 30 s (botocore's waiters-2.json; reference of the SDKs'
`wait`), so an answer that is about to be out of date costs its user half a minute. Holding it for a
few seconds, until the resource leaves its transition, costs a future: no thread waits.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Final

from sagedock.aws import protocols, routing, validation
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call
from sagedock.errors import InternalFailure, NotEmulated, ServiceError
from sagedock.lifecycle.changes import Changes
from sagedock.services.operation import Answer, Context, Held, Operation

_log = logging.getLogger(__name__)
_THREADS: Final = 16
_WAITER_FEATURE: Final = re.compile(r"(?:^|\s)m/(?:[^\s,]+,)*B(?:,|\s|$)")

Gone = Callable[[], Awaitable[None]]
"""Returns when the client has gone away."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the emulator is where a request does not say: account, and region of unsigned calls."""

    account: str
    region: str


@dataclass(slots=True)
class _Visit:
    """One request on its way; filled in as it becomes understood."""

    http: HttpRequest
    context: Context
    call: Call | None = None
    operation: Operation | None = None
    request: Mapping[str, Any] = field(default_factory=dict)


class Gateway:
    """Answers AWS requests from a dispatch table.

    `hold_seconds`: how long a polling client's answer may be held; 0 never holds.
    `log_hint`: where a user finds our log, for the text of an InternalFailure.
    """

    def __init__(
        self,
        operations: Mapping[tuple[str, str], Operation],
        identity: Identity,
        changes: Changes,
        hold_seconds: float = 5.0,
        log_hint: str = "the output of `sagedock serve`",
    ) -> None:
        self._operations = operations
        self._identity = identity
        self._changes = changes
        self._hold_seconds = hold_seconds
        self._log_hint = log_hint
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="request")
        self._waiting: set[asyncio.Event] = set()
        self._is_closing = False

    def context(self, http: HttpRequest) -> Context:
        """Who asks, where and when; the region is the one the request was signed for."""
        return Context(
            account=self._identity.account,
            region=routing.region(http) or self._identity.region,
            request_id=str(uuid.uuid4()),
            now=lambda: datetime.now(timezone.utc),
            user_agent=http.headers.get("user-agent", ""),
        )

    async def answer(self, http: HttpRequest, gone: Gone) -> HttpResponse:
        """The answer to a request read whole; never raises a ServiceError."""
        visit = _Visit(http, self.context(http))
        outcome = await self._in_pool(visit)
        if isinstance(outcome, Held):
            return await self._hold(visit, outcome, gone)
        return outcome

    def refuse(self, call: Call | None, error: ServiceError, request_id: str) -> HttpResponse:
        """`error` in the shape that the caller's protocol expects."""
        return protocols.serialize_error(call, error, request_id)

    def own_fault(self, call: Call | None, request_id: str) -> HttpResponse:
        """The answer to the exception being handled, which nobody meant; logs its traceback."""
        asked = f"{call.service} {call.operation}" if call else "a request"
        _log.exception("sagedock failed on %s (request id %s)", asked, request_id)
        error = InternalFailure(
            f"sagedock failed on {asked}: this is a fault in sagedock, not in your request."
            f" The traceback is in {self._log_hint}, under request id {request_id}."
        )
        return protocols.serialize_error(call, error, request_id)

    def release(self) -> None:
        """Answer what is held, now, and hold nothing more; on the event loop, before it stops."""
        self._is_closing = True
        for event in self._waiting:
            event.set()

    def close(self) -> None:
        """Take no more requests; those in a thread are finished."""
        self._pool.shutdown(wait=False)

    def _in_pool(self, visit: _Visit) -> asyncio.Future[HttpResponse | Held]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._answer, visit)

    def _answer(self, visit: _Visit) -> HttpResponse | Held:
        try:
            operation = visit.operation or self._understand(visit)
            result = operation(visit.request, visit.context)
            if isinstance(result, Held):
                is_polled = result.is_polled or polls(visit.context.user_agent)
                if self._hold_seconds > 0 and is_polled:
                    return result
                result = result.answer
            return self._serialize(visit, result)
        except ServiceError as error:
            return self.refuse(visit.call, error, visit.context.request_id)
        except Exception:
            return self.own_fault(visit.call, visit.context.request_id)

    def _understand(self, visit: _Visit) -> Operation:
        call = visit.call = routing.route(visit.http)
        operation = self._operations.get((call.service, call.operation))
        if operation is None:
            raise NotEmulated(call.service, call.operation)
        visit.request = protocols.parse(call, visit.http)
        validation.validate(call, visit.request)
        visit.operation = operation
        return operation

    def _serialize(self, visit: _Visit, answer: Answer) -> HttpResponse:
        assert visit.call is not None
        return protocols.serialize(visit.call, answer, visit.context.request_id)

    async def _hold(self, visit: _Visit, held: Held, gone: Gone) -> HttpResponse:
        """Ask again at each change until the answer is no longer Held, or time is over."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def tell() -> None:  # in the thread of whoever changed the resource
            loop.call_soon_threadsafe(news.set)

        unsubscribe = self._changes.subscribe(held.resource, tell)
        watch = asyncio.ensure_future(gone())
        watch.add_done_callback(lambda _: news.set())
        self._waiting.add(news)
        ends_at = loop.time() + self._hold_seconds
        try:
            while True:
                news.clear()  # before asking: what changes while we ask sets it again
                outcome = await self._in_pool(visit)
                if not isinstance(outcome, Held):
                    return outcome
                held = outcome
                if self._is_closing or watch.done() or not await _heard(news, ends_at):
                    return self._serialize(visit, held.answer)
        finally:
            unsubscribe()
            self._waiting.discard(news)
            watch.cancel()


def polls(user_agent: str) -> bool:
    """True for clients that ask again and again: the SageMaker SDKs, and boto3's waiters, which
    botocore marks by feature id `B` in the `m/` part of the user agent (botocore/useragent.py)."""
    return (
        "AWS-SageMaker-Python-SDK" in user_agent or _WAITER_FEATURE.search(user_agent) is not None
    )


async def _heard(news: asyncio.Event, ends_at: float) -> bool:
    """True when news came before `ends_at` (the loop's time)."""
    left = ends_at - asyncio.get_running_loop().time()
    if left <= 0:
        return False
    try:
        await asyncio.wait_for(news.wait(), left)
    except asyncio.TimeoutError:
        return False
    return True
