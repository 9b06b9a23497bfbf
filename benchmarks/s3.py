"""What S3 costs here: boto3 against sagedock, and against a server that does the least possible.

    python benchmarks/s3.py [--rounds 5] [--size 64] [--small 200]

The floor keeps bodies in files with an MD5 and sends them with sendfile; it knows no buckets, no
metadata, no checksums, no errors. Each step is done by both in turn within a round, and medians
over rounds are printed: seconds, the ratio, and the highest resident memory of each server. boto3
is the larger part of most figures, and part of both.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from sagedock import Emulator

MIB = 1024 * 1024
TARGET_RATIO, TARGET_MIB = 1.3, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=64, metavar="MIB")
    parser.add_argument("--small", type=int, default=200, metavar="OBJECTS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        servers = [started(run, f"{scratch}/{run.__name__}") for run in (run_floor, run_sagedock)]
        source = Path(scratch, "source")
        source.write_bytes(os.urandom(arguments.size * MIB))
        plans = [steps(client(url), source, arguments.small) for url, _ in servers]
        for plan in plans:
            for step in plan.values():  # the first of everything loads code and warms caches
                step()
        seconds: dict[str, list[list[float]]] = {name: [[], []] for name in plans[0]}
        for _ in range(arguments.rounds):
            for name, taken in seconds.items():
                for plan, figures in zip(plans, taken, strict=True):
                    figures.append(timed(plan[name]))
        report(seconds, [peak_mib(process) for _, process in servers])
        for _, process in servers:
            process.terminate()
            process.join()


def report(seconds: dict[str, list[list[float]]], peaks: list[float]) -> None:
    print(f"{'':34}{'floor':>9}{'sagedock':>10}{'ratio':>7}   target {TARGET_RATIO}")
    for name, (floor, ours) in seconds.items():
        ratio = statistics.median(b / a for a, b in zip(floor, ours, strict=True))
        a, b = statistics.median(floor), statistics.median(ours)
        print(f"{name:34}{a:8.3f}s{b:9.3f}s{ratio:7.2f}")
    print(f"{'highest memory':34}{peaks[0]:6.0f}MiB{peaks[1]:7.0f}MiB          target {TARGET_MIB}")


# --- the client ----------------------------------------------------------------------------------


def client(url: str) -> Any:
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="bench")
    return s3


def steps(s3: Any, source: Path, small: int) -> dict[str, Callable[[], object]]:
    body = source.read_bytes()
    size = len(body) // MIB
    parts = TransferConfig(multipart_chunksize=8 * MIB)
    target = source.with_name("target")

    def ranged() -> None:
        for i in range(size):
            asked = f"bytes={i * MIB}-{(i + 1) * MIB - 1}"
            s3.get_object(Bucket="bench", Key="large", Range=asked)["Body"].read()

    def put_small() -> None:
        for i in range(small):
            s3.put_object(Bucket="bench", Key=f"small-{i}", Body=b"x" * 1024)

    def get_small() -> None:
        for i in range(small):
            s3.get_object(Bucket="bench", Key=f"small-{i}")["Body"].read()

    return {
        f"PutObject {size} MiB": lambda: s3.put_object(Bucket="bench", Key="large", Body=body),
        f"GetObject {size} MiB": lambda: s3.get_object(Bucket="bench", Key="large")["Body"].read(),
        f"{size} ranges of 1 MiB": ranged,
        f"upload_file {size} MiB in parts": lambda: s3.upload_file(
            str(source), "bench", "parts", Config=parts
        ),
        f"download_file {size} MiB": lambda: s3.download_file("bench", "parts", str(target)),
        f"{small} PutObject of 1 KiB": put_small,
        f"{small} GetObject of 1 KiB": get_small,
    }


def timed(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


# --- the servers ---------------------------------------------------------------------------------


def started(
    run: Callable[..., None], folder: str
) -> tuple[str, multiprocessing.process.BaseProcess]:
    """Run a server in a process of its own; its address and process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run, args=(folder, theirs), daemon=True)
    process.start()
    return ours.recv(), process


def run_sagedock(folder: str, told: Any) -> None:
    dock = Emulator(home=Path(folder))
    dock.start()
    told.send(dock.url)
    while True:
        time.sleep(3600)


def run_floor(folder: str, told: Any) -> None:
    async def serve() -> None:
        os.mkdir(folder)
        server = await asyncio.start_server(Floor(folder).answer, "127.0.0.1", 0, limit=256 * 1024)
        told.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()

    asyncio.run(serve())


class Floor:
    """Just enough of S3 for the steps above."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The requests of one connection, one after the other."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                await self._answer_one(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer_one(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        method, target, _ = head.split(" ", 2)
        path, _, query = target.partition("?")
        asked = parse_qs(query, keep_blank_values=True)
        file = os.path.join(self._folder, path.strip("/").replace("/", "%2F"))
        if "\r\nexpect:" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        found = re.search(r"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        length = int(found[1]) if found else 0
        if method == "PUT":
            part = asked["partNumber"][0].zfill(5) if "partNumber" in asked else ""
            etag = await take_in(reader, length, f"{file}.{part}" if part else file)
            writer.write(f'HTTP/1.1 200 OK\r\nETag: "{etag}"\r\nContent-Length: 0\r\n\r\n'.encode())
        elif method == "POST":
            await reader.readexactly(length)
            if "uploadId" in asked:
                join(file)
            text = "<R><UploadId>u</UploadId><ETag>e</ETag></R>"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        else:
            await give_out(method, head, file, writer)


async def take_in(reader: asyncio.StreamReader, left: int, path: str) -> str:
    digest = hashlib.md5()
    with open(path, "wb", buffering=0) as file:
        while left:
            data = await reader.read(min(left, 256 * 1024))
            if not data:
                raise ConnectionError("the client went away")
            digest.update(data)
            file.write(data)
            left -= len(data)
    return digest.hexdigest()


def join(path: str) -> None:
    folder, name = os.path.split(path)
    parts = sorted(each for each in os.listdir(folder) if each.startswith(name + "."))
    with open(path, "wb") as whole:
        for part in parts:
            with open(os.path.join(folder, part), "rb") as source:
                while os.sendfile(whole.fileno(), source.fileno(), None, 1 << 30):
                    pass
            os.unlink(os.path.join(folder, part))


async def give_out(method: str, head: str, path: str, writer: asyncio.StreamWriter) -> None:
    size = os.path.getsize(path)
    asked = re.search(r"\r\nrange: *bytes=(\d+)-(\d*)", head, re.IGNORECASE)
    first = int(asked[1]) if asked else 0
    last = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
    status = f"206 P\r\nContent-Range: bytes {first}-{last}/{size}" if asked else "200 OK"
    date = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
    text = f"{status}\r\n{date}\r\nETag: x\r\nContent-Length: {last - first + 1}\r\n\r\n"
    writer.write(f"HTTP/1.1 {text}".encode())
    if method == "GET":
        with open(path, "rb") as file:
            loop = asyncio.get_running_loop()
            await loop.sendfile(writer.transport, file, first, last - first + 1)


def peak_mib(process: multiprocessing.process.BaseProcess) -> float:
    """The highest resident size since the start (Linux)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
