"""S3 over HTTP: the bytes of objects go between socket and file in pieces, whatever their size.

What a call means is decided by services/s3, in a thread; here the bytes are moved. Of an upload at
most two batches are in memory, one being received while a thread hashes and writes the other. A
download goes from the page cache to the socket without coming through this process (zero_copy.py).

What the event loop does itself is short, for handing work to a thread and back costs more than a
look-up in the index (60 µs) or reading a small object: checking a request's head, and answering
GetObject and HeadObject up to the first piece. Whatever writes is a thread's, for a commit may
wait for another, or for the disk; and so is reading what the kernel has not in memory.

What can be refused by a request's head is refused before its body is asked for, so a client that
sent `Expect: 100-continue` (boto3 does) never sends a body in vain. A client that goes away in the
middle leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from sagedock.aws import protocols, validation
from sagedock.aws.chunked import ChunkedDecoder
from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.model import Call
from sagedock.errors import NotEmulated, ServiceError
from sagedock.server import zero_copy
from sagedock.server.presigned import check_not_expired
from sagedock.services.operation import Answer, Context
from sagedock.services.s3 import S3
from sagedock.services.s3_answers import admit
from sagedock.services.s3_bodies import IncomingBody, OutgoingBody, check_document

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_THREADS: Final = 8
_BATCH: Final = 512 * 1024
_PIECE: Final = 1024 * 1024
_SMALL: Final = 64 * 1024
_DOCUMENT_LIMIT: Final = 2 * 1024 * 1024  # a thousand keys of 1,024 bytes, and their XML
_QUICK: Final = frozenset({"GetObject", "HeadObject", "HeadBucket"})
_CHECKSUM_HEADER: Final = "x-amz-checksum-"
_NO_WAIT: Final[int] = getattr(os, "RWF_NOWAIT", 0)  # 0: not Linux
_Result = TypeVar("_Result")


class ClientGone(Exception):
    """The client went away before its request was read whole; there is nobody to answer."""


class ObjectBodies:
    """Answers every S3 call; until its answer has begun it may raise a ServiceError."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    def close(self) -> None:
        """Take no more calls; what a thread is doing is finished."""
        self._pool.shutdown(wait=False)

    async def __call__(
        self, call: Call, request: HttpRequest, context: Context, receive: Receive, send: Send
    ) -> None:
        """Answer `call`. `request` comes without its body, which `receive` gives."""
        is_asked_for = False

        async def ask() -> MutableMapping[str, Any]:
            nonlocal is_asked_for
            is_asked_for = True
            return await receive()

        try:
            await self._answer(_Visit(self._s3, call, request, context), ask, send)
        except ServiceError as error:
            if request.headers.get("expect") and not is_asked_for:
                # The client now keeps its announced body back, and only the connection's end
                # tells where the next request would begin (RFC 9110, 10.1.1; S3 closes too).
                error.headers["Connection"] = "close"
            raise

    async def _answer(self, visit: _Visit, receive: Receive, send: Send) -> None:
        call = visit.call
        if (call.service, call.operation) not in self._s3.operations:
            raise NotEmulated(call.service, call.operation)
        check_not_expired(visit.http, visit.context.now())
        try:
            if call.operation in self._s3.expectations:
                answer = await self._take_in(visit, receive)
            else:
                document = await _read_document(visit.http, receive)
                if call.operation in _QUICK:
                    answer = visit.answer(document)
                else:
                    answer = await self._in_thread(visit.answer, document)
        except ClientGone:
            return
        if visit.outgoing is None:
            await _send_head(answer, len(answer.body), send)
            await send({"type": "http.response.body", "body": answer.body})
        else:
            await self._give_out(answer, visit.outgoing, receive, send)

    async def _take_in(self, visit: _Visit, receive: Receive) -> HttpResponse:
        body = visit.expect()
        try:
            rest, trailing = await self._write(body, visit.http, receive)
        except BaseException:
            await asyncio.shield(self._in_thread(body.discard))
            raise
        return await self._in_thread(visit.take, body, rest, trailing)

    async def _write(
        self, body: IncomingBody, http: HttpRequest, receive: Receive
    ) -> tuple[list[bytes], dict[str, str]]:
        """Receive a body and write all but its last batch, which is returned with the checksums
        that trailed it: small objects are written, checked and committed in one go."""
        decoder = ChunkedDecoder() if _is_aws_chunked(http) else None
        batch: list[bytes] = []
        size, more = 0, True
        writing: asyncio.Future[None] | None = None
        try:
            while more:
                data, more = await _next(receive)
                if decoder is not None:
                    data = decoder.feed(data)
                batch.append(data)
                size += len(data)
                if more and size >= _BATCH:
                    if writing is not None:
                        await writing
                    writing = self._in_thread(body.write_all, batch)
                    batch, size = [], 0
        finally:
            if writing is not None:  # also when it fails: nobody may discard a file in use
                await asyncio.wait([writing])
        if writing is not None:
            writing.result()
        return batch, _checksums(decoder.finish()) if decoder is not None else {}

    async def _give_out(
        self, answer: HttpResponse, outgoing: OutgoingBody, receive: Receive, send: Send
    ) -> None:
        """Send a file's bytes, as fast as the client takes them."""
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await _send_head(answer, outgoing.length, send)
            place, end = outgoing.offset, outgoing.offset + outgoing.length
            while place < end and not gone.done():
                count = min(_PIECE, end - place)
                if _is_cached(outgoing, place, count):
                    message = {"type": zero_copy.MESSAGE, "file": outgoing.file, "offset": place}
                    message["count"] = count
                else:  # a read that may wait for the disk
                    data = await self._in_thread(_read, outgoing, place, place + count)
                    message = {"type": "http.response.body", "body": data}
                place += count
                await send({**message, "more_body": place < end})
        finally:
            gone.cancel()
            outgoing.file.close()

    def _in_thread(self, work: Callable[..., _Result], *arguments: Any) -> asyncio.Future[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


@dataclass(slots=True)
class _Visit:
    """One call on its way. Its methods may block, and run one after the other."""

    s3: S3
    call: Call
    http: HttpRequest
    context: Context
    request: dict[str, Any] = field(default_factory=dict)
    outgoing: OutgoingBody | None = None

    def expect(self) -> IncomingBody:
        """Understand the head of an upload and open its file."""
        self._understand(self.http)
        trailer = self.http.headers.get("x-amz-trailer", "")
        if trailer.startswith(_CHECKSUM_HEADER) and "ChecksumAlgorithm" not in self.request:
            self.request["ChecksumAlgorithm"] = trailer.removeprefix(_CHECKSUM_HEADER).upper()
        expect = self.s3.expectations[self.call.operation]
        return expect(self.request, self.request.get("ContentLength"))

    def take(
        self, body: IncomingBody, rest: Sequence[bytes], trailing: Mapping[str, str]
    ) -> HttpResponse:
        """Write the last of an upload, check it, and have the operation take it."""
        self.request["Body"] = body
        try:
            body.write_all(rest)
            body.finish(trailing)
            return self._serialize(self._operate())
        except BaseException:
            body.discard()
            raise

    def answer(self, document: bytes) -> HttpResponse:
        """All other calls. A large object's bytes are left in `outgoing`, opened."""
        self._understand(replace(self.http, body=document) if document else self.http)
        if document and self.call.operation != "CompleteMultipartUpload":
            # Whose checksums are those of the object that it makes.
            headers = self.http.headers
            check_document(document, headers.get("content-md5"), _checksums(headers))
        answer = self._operate()
        outgoing = answer.pop("Body", None)
        try:
            response = self._serialize(answer)
            if isinstance(outgoing, OutgoingBody) and outgoing.length <= _SMALL:
                end = outgoing.offset + outgoing.length
                response.body = _read(outgoing, outgoing.offset, end)
                outgoing.file.close()
                outgoing = None
        except BaseException:
            if outgoing is not None:
                outgoing.file.close()
            raise
        self.outgoing = outgoing
        return response

    def _understand(self, http: HttpRequest) -> None:
        self.request = protocols.parse(self.call, http)
        validation.validate(self.call, self.request)
        admit(self.request, self.context)

    def _operate(self) -> Answer:
        answer = self.s3.operations[self.call.service, self.call.operation](
            self.request, self.context
        )
        assert isinstance(answer, dict)  # S3 holds no answer back
        return answer

    def _serialize(self, answer: Answer) -> HttpResponse:
        return protocols.serialize(self.call, answer, self.context.request_id)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of a request's body, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)


async def _read_document(http: HttpRequest, receive: Receive) -> bytes:
    document = bytearray()
    more = "content-length" in http.headers or "transfer-encoding" in http.headers
    while more:
        data, more = await _next(receive)
        document += data
        if len(document) > _DOCUMENT_LIMIT:
            raise ServiceError(
                f"Your request was too big: its body has more than {_DOCUMENT_LIMIT} bytes.",
                code="MaxMessageLengthExceeded",
                status=400,
            )
    return bytes(document)


async def _send_head(answer: HttpResponse, length: int, send: Send) -> None:
    """Status and headers; HeadObject brings the Content-Length of what it does not send."""
    headers = [
        (k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in answer.headers.items()
    ]
    if answer.status != 204 and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})


def _read(outgoing: OutgoingBody, place: int, end: int) -> bytes:
    """Raises EOFError where the file has become too short."""
    data = os.pread(outgoing.file.fileno(), end - place, place)
    if len(data) < end - place:
        raise EOFError("an object's file has become shorter than the object")
    return data


def _is_cached(outgoing: OutgoingBody, place: int, count: int) -> bool:
    """Whether the kernel has these bytes in memory, judged by the first and the last; False where
    the system cannot tell."""
    if not _NO_WAIT:
        return False
    descriptor = outgoing.file.fileno()
    try:
        return all(
            os.preadv(descriptor, [bytearray(1)], at, _NO_WAIT) for at in (place, place + count - 1)
        )
    except OSError:
        return False


def _is_aws_chunked(http: HttpRequest) -> bool:
    return http.headers.get("x-amz-content-sha256", "").startswith(
        "STREAMING-"
    ) or "aws-chunked" in http.headers.get("content-encoding", "")


def _checksums(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the headers that are checksums, by algorithm; x-amz-checksum-mode is none."""
    return {
        name.removeprefix(_CHECKSUM_HEADER).upper(): value
        for name, value in headers.items()
        if name.startswith(_CHECKSUM_HEADER)
    }
