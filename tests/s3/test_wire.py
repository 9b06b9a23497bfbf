"""What boto3 over plain HTTP never sends: framed bodies, broken uploads, odd heads."""

from __future__ import annotations

import base64
import socket
import time
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from sagedock import Emulator


@pytest.fixture
def connect(emulator: Emulator) -> Callable[[], socket.socket]:
    address = urlsplit(emulator.url)
    return lambda: socket.create_connection((str(address.hostname), int(address.port or 0)), 10)


def head_of(path: str, **headers: str) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_of(connection: socket.socket) -> bytes:
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.split(b"\r\n\r\n", 1)[1]:
        data = connection.recv(65536)
        if not data:
            break
        answer += data
        if b"content-length: 0" in answer:
            break
    return answer


def framed(body: bytes, checksum: str) -> bytes:
    pieces = [body[i : i + 70_000] for i in range(0, len(body), 70_000)]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\nx-amz-checksum-crc32:" + checksum.encode() + b"\r\n\r\n"


def put_framed(connection: socket.socket, path: str, body: bytes, checksum: str) -> bytes:
    sent = framed(body, checksum)
    connection.sendall(
        head_of(
            path,
            Content_Length=str(len(sent)),
            Content_Encoding="aws-chunked",
            x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            x_amz_decoded_content_length=str(len(body)),
            x_amz_trailer="x-amz-checksum-crc32",
        )
        + sent
    )
    return answer_of(connection)


def test_a_framed_body_is_stored_without_its_frames(
    s3: Any, bucket: str, connect: Callable[[], socket.socket]
) -> None:
    body = bytes(range(251)) * 8000  # 2 MB, so that it is written in several batches
    checksum = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()

    with connect() as connection:
        answer = put_framed(connection, f"/{bucket}/k", body, checksum)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"]) == (body, checksum)
    assert "ContentEncoding" not in got


def test_a_trailing_checksum_that_is_wrong_refuses_the_body(
    s3: Any, bucket: str, connect: Callable[[], socket.socket]
) -> None:
    with connect() as connection:
        answer = put_framed(connection, f"/{bucket}/k", b"bytes", "AAAAAA==")

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"<Code>BadDigest</Code>" in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_client_that_goes_away_leaves_nothing_behind(
    s3: Any, bucket: str, emulator: Emulator, connect: Callable[[], socket.socket]
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    files = lambda: set((emulator.home.folder / "objects").rglob("*-*"))  # noqa: E731
    before = files()
    with connect() as connection:
        connection.sendall(head_of(f"/{bucket}/k", Content_Length="5000000") + b"x" * 3_000_000)
        deadline = time.monotonic() + 10
        while files() == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert files() != before

    while files() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files() == before
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"


def test_a_head_that_is_refused_costs_no_upload(
    bucket: str, connect: Callable[[], socket.socket]
) -> None:
    with connect() as connection:
        connection.sendall(
            head_of("/no-such-bucket/k", Content_Length="5000000", Expect="100-continue")
        )
        answer = answer_of(connection)

        assert answer.startswith(b"HTTP/1.1 404")
        assert b"connection: close" in answer
        assert b"<Code>NoSuchBucket</Code><Message>" in answer


def test_more_than_5_gib_are_refused_before_they_come(
    bucket: str, connect: Callable[[], socket.socket]
) -> None:
    with connect() as connection:
        length = str(5 * 1024**3 + 1)
        connection.sendall(head_of(f"/{bucket}/k", Content_Length=length, Expect="100-continue"))
        answer = answer_of(connection)

    assert b"<Code>EntityTooLarge</Code>" in answer


def test_a_body_that_no_disk_holds_is_refused_before_it_comes(
    bucket: str, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "sagedock.store.object_files.ObjectFiles.has_room_for", lambda self, size: size < 1000
    )
    with connect() as connection:
        connection.sendall(head_of(f"/{bucket}/k", Content_Length="1000", Expect="100-continue"))
        answer = answer_of(connection)

    assert answer.startswith(b"HTTP/1.1 507")
    assert b"<Code>InsufficientStorage</Code>" in answer


def test_a_document_that_was_damaged_on_its_way_is_refused(
    s3: Any, bucket: str, connect: Callable[[], socket.socket]
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    head = head_of(
        f"/{bucket}?delete", Content_Length=str(len(document)), x_amz_checksum_crc32="AAAAAA=="
    )
    with connect() as connection:
        connection.sendall(head.replace(b"PUT", b"POST", 1) + document)
        answer = answer_of(connection)

    assert b"<Code>BadDigest</Code>" in answer
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
