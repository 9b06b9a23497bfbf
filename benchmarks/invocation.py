"""What the way through sagedock adds to an invocation: latency and throughput against the model
server asked directly.

    python benchmarks/invocation.py [--rounds 5] [--seconds 2] [--server HOST:PORT]

Three processes on one machine: a client (plain sockets, a request in flight per connection), the
server as `sagedock serve` runs it, and a model server that answers at once (or the one at
--server). Direct and through sagedock take turns within a round; medians over rounds are printed.
The client's own cost is in both figures, so the share is of what this client can drive; run it on
a quiet machine. The built-in model server is one bare protocol that does nothing, faster than any
that runs user code: the target share is meant against a real one, such as `python -m
sagedock_toolkit serve` with a model that answers at once, named by --server.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BODY = b"[" + b"0.5," * 255 + b"0.5]"
ACCOUNT = "000000000000"
TARGET_ADDED_MS, TARGET_SHARE = 0.12, 0.60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--server", metavar="HOST:PORT", help="a model server that runs already")
    arguments = parser.parse_args()
    host, _, port = (arguments.server or "127.0.0.1:0").rpartition(":")
    model = (host, int(port)) if arguments.server else started(run_model_server)
    front = started(run_front, model)
    direct_request = post("/invocations")
    front_request = post("/endpoints/bench/invocations")
    for address, request in ((model, direct_request), (front, front_request)):
        measure(address, request, 8, 0.5)  # warm

    figures: dict[str, list[float]] = {"direct": [], "added": [], "rate": [], "share": []}
    for _ in range(arguments.rounds):
        direct, _ = measure(model, direct_request, 1, arguments.seconds)
        through, _ = measure(front, front_request, 1, arguments.seconds)
        _, direct_rate = measure(model, direct_request, 8, arguments.seconds)
        _, rate = measure(front, front_request, 8, arguments.seconds)
        figures["direct"].append(direct)
        figures["added"].append(through - direct)
        figures["rate"].append(rate)
        figures["share"].append(rate / direct_rate)
    median = {name: statistics.median(values) for name, values in figures.items()}
    report(median, is_real=bool(arguments.server))


def report(median: dict[str, float], is_real: bool) -> None:
    print(f"direct, 1 connection      p50 {median['direct']:.3f} ms")
    print(f"through sagedock          +{median['added']:.3f} ms   target +{TARGET_ADDED_MS} ms")
    print(f"through, 8 connections    {median['rate']:,.0f} requests/s")
    target = f"target {TARGET_SHARE:.0%}" if is_real else "(of a bare protocol: see --server)"
    print(f"share of direct           {median['share']:.0%}        {target}")


# --- the client ----------------------------------------------------------------------------------


def post(path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY


def measure(
    address: tuple[str, int], request: bytes, connections: int, seconds: float
) -> tuple[float, float]:
    """(median latency in ms, requests per second) with one request in flight per connection."""
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    now = time.perf_counter
    sent: dict[int, float] = {}
    for _ in range(connections):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, connection)
        sent[connection.fileno()] = now()
        connection.sendall(request)
    began = now()
    while now() - began < seconds:
        for key, _ in selector.select(1):
            answer = key.data.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200 "):
                sys.exit(f"{address} answered {answer[:300]!r}")
            while not is_whole(answer):
                answer += key.data.recv(65536)
            ended = now()
            latencies.append(ended - sent[key.fd])
            sent[key.fd] = ended
            key.data.sendall(request)
    elapsed = now() - began
    for key in list(selector.get_map().values()):
        key.data.close()
    selector.close()
    return statistics.median(latencies) * 1000, len(latencies) / elapsed


def is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    return bool(separator) and len(body) >= int(
        head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    )


# --- the processes -------------------------------------------------------------------------------


def started(run: Callable[..., None], *arguments: Any) -> tuple[str, int]:
    """Start `run(report, *arguments)` in a process of its own; the address it reports."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    context.Process(target=run, args=(there, *arguments), daemon=True).start()
    port: int = here.recv()
    return "127.0.0.1", port


def run_model_server(report_port: Any) -> None:
    """Answers every request at once, as one bare protocol: the fastest thing Python can be."""
    import httptools

    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

    class Null(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.parser = httptools.HttpRequestParser(self)

        def data_received(self, data: bytes) -> None:
            self.parser.feed_data(data)

        def on_message_complete(self) -> None:
            self.transport.write(answer)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Null, "127.0.0.1", 0)
        report_port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def run_front(report_port: Any, model: tuple[str, int]) -> None:
    from sagedock.domain.routes import EndpointRoute, ModelServer, Routes, VariantRoute
    from sagedock.server.certificates import Authority
    from sagedock.server.connect_proxy import ConnectProxy
    from sagedock.server.fast_lane import FastLane
    from sagedock.server.limits import InvocationLimits
    from sagedock.server.origins import Fence
    from sagedock.server.protocol import Lanes
    from sagedock.server.running import Server

    async def nothing_else(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("an invocation came to ASGI")

    routes = Routes()
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:endpoint/bench"
    variant = VariantRoute("AllTraffic", 1.0, (ModelServer(*model, "stream"),))
    routes.publish(EndpointRoute("bench", arn, "InService", "group", (variant,)))
    fence = Fence("127.0.0.1")
    lane = FastLane(routes, ACCOUNT, InvocationLimits(), fence, lambda group, stream: group)
    with tempfile.TemporaryDirectory() as folder:
        lanes = Lanes(lane, ConnectProxy(Authority(Path(folder)), {}))
        server = Server(nothing_else, "127.0.0.1", 0, lanes)
        server.serve(on_ready=lambda: report_port.send(server.port))


if __name__ == "__main__":
    main()
