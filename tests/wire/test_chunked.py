"""aws-chunked upload bodies."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagedock.aws.chunked import ChunkedDecoder
from sagedock.errors import ServiceError
from wire.loopback import Loopback

SIGNATURE = b";chunk-signature=" + b"a" * 64


def encoded(pieces: list[bytes], trailers: dict[str, str], extension: bytes) -> bytes:
    frames = [b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces if piece]
    lines = [f"{name}:{value}\r\n".encode() for name, value in trailers.items()]
    return b"".join([*frames, b"0%s\r\n" % extension, *lines, b"\r\n"])


def decoded(body: bytes, step: int) -> tuple[bytes, dict[str, str]]:
    decoder = ChunkedDecoder()
    found = b"".join(decoder.feed(body[at : at + step]) for at in range(0, len(body), step))
    assert decoder.length == len(found)
    return found, decoder.finish()


def refusal(body: bytes, step: int = 7) -> str:
    with pytest.raises(ServiceError) as caught:
        decoded(body, step)
    assert caught.value.status == 400
    return caught.value.code


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(st.binary(max_size=40), max_size=5),
    trailers=st.dictionaries(
        st.from_regex(r"x-amz-[a-z0-9-]{1,12}", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9+/=]{0,20}", fullmatch=True),
        max_size=3,
    ),
    extension=st.sampled_from([b"", SIGNATURE]),
    step=st.integers(1, 64),
)
def test_what_was_framed_comes_out_however_it_is_cut(
    pieces: list[bytes], trailers: dict[str, str], extension: bytes, step: int
) -> None:
    body = encoded(pieces, trailers, extension)

    assert decoded(body, step) == (b"".join(pieces), trailers)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), step=st.integers(1, 64))
def test_a_body_that_ends_early_is_never_taken_for_whole(data: Any, step: int) -> None:
    body = encoded([b"hello", b"world\r\n0\r\n\r\n"], {"x-amz-checksum-crc32": "AAAA"}, SIGNATURE)
    cut = data.draw(st.integers(0, len(body) - 1))

    assert refusal(body[:cut], step) == "IncompleteBody"


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200), step=st.integers(1, 64))
def test_noise_is_refused_and_nothing_worse(body: bytes, step: int) -> None:
    with contextlib.suppress(ServiceError):
        found, _ = decoded(body, step)
        assert len(found) < len(body)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"-1\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"11111111111111111\r\n",
        b"1;" + b"x" * 2000 + b"\r\n",
        b"1" * 5000,
        b"0\r\nno colon\r\n\r\n",
        b"0\r\n:no-name\r\n\r\n",
        b"0\r\nx:\xff\r\n\r\n",
        b"0\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    ],
)
def test_malformed_frames_are_refused(body: bytes) -> None:
    assert refusal(body) == "InvalidChunk"


def test_memory_does_not_grow_with_the_body() -> None:
    decoder = ChunkedDecoder()
    decoder.feed(b"40000000\r\n")
    piece = b"x" * 65536

    for _ in range(200):
        assert decoder.feed(piece) == piece

    assert len(decoder._held) == 0


@pytest.mark.evidence("recorded", "minio-go ends its last trailing header with LF CR LF")
def test_an_odd_line_end_before_the_last_is_taken() -> None:
    body = b"2\r\nab\r\n0\r\nx-amz-checksum-crc32c:AAAA\n\r\n\r\n"

    assert decoded(body, 3) == (b"ab", {"x-amz-checksum-crc32c": "AAAA"})


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_what_boto3_streams_over_https_is_read(size: int) -> None:
    loop = Loopback()
    content = bytes(range(256)) * (size // 256 + 1)
    body = io.BytesIO(content[:size])

    loop.client("s3", "https://localhost:4599").put_object(
        Bucket="b", Key="k", Body=body, ChecksumAlgorithm="CRC32", ContentEncoding="gzip"
    )

    request, params = loop.requests[0], loop.params[0]
    found, trailers = decoded(request.body, 8192)
    assert found == content[:size]
    assert list(trailers) == [request.headers["x-amz-trailer"]]
    assert params["ContentEncoding"] == "gzip"
