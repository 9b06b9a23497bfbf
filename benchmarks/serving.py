"""How fast the container's model server is, next to the least that any Python server costs.

    python benchmarks/serving.py [--python PYTHON] [--workers 2] [--rounds 5] [--seconds 1.5]

The server serves a null model (an echo), so that only the server costs. The floor is a bare asyncio
protocol in one process that answers without looking: no parsing, no worker. Both are measured in
turns, in rounds; figures are medians, ratios are taken within a round. The load is a closed loop of
keep-alive connections in this process, so it shares the processors with what it measures: on few
cores the absolute figures say less than the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOOLKIT = Path(__file__).parents[1] / "containers" / "mxnet" / "toolkit"
CONNECTIONS = (1, 8, 32)
BODY = b"[1, 2, 3, 4, 5, 6, 7, 8]"
REQUEST = (
    b"POST /invocations HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Accept: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
NULL_MODEL = """
def model_fn(model_dir):
    return None

def transform_fn(model, data, content_type, accept):
    return data, accept
"""
FLOOR = """
import asyncio, sys
ANSWER = (b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
          b"Content-Length: 24\\r\\n\\r\\n[1, 2, 3, 4, 5, 6, 7, 8]")

class Floor(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data): self.transport.write(ANSWER)

async def main():
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""


class Client(asyncio.Protocol):
    """One connection that sends its next request when it has its answer."""

    def __init__(self, times: list[float]) -> None:
        self._times = times
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200") or not data.endswith(BODY):
            raise SystemExit(f"not the expected answer: {data[:200]!r}")
        self._times.append(time.perf_counter() - self._began)
        self._send()


async def load(port: int, connections: int, seconds: float) -> list[float]:
    """Seconds of each request that was answered in that time."""
    times: list[float] = []
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Client(times), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in opened:
        transport.abort()
    return times


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environ: dict[str, str]) -> Iterator[int]:
    """A server process that listens on `port`."""
    process = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                asyncio.run(load(port, 1, 0.2))
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@contextmanager
def toolkit_server(python: str, workers: int) -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as base:
        code = Path(base) / "model" / "code"
        code.mkdir(parents=True)
        (code / "inference.py").write_text(NULL_MODEL)
        environ = {
            "PYTHONPATH": str(TOOLKIT), "SAGEMAKER_BASE_DIR": base,
            "SAGEMAKER_BIND_TO_PORT": str(port), "SAGEDOCK_BIND_HOST": "127.0.0.1",
            "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        }  # fmt: skip
        with running([python, "-m", "sagedock_toolkit", "serve"], port, environ):
            yield port


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="runs both servers")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    options = parser.parse_args()
    port = free_port()
    with (
        running([options.python, "-c", FLOOR, str(port)], port, {}) as floor,
        toolkit_server(options.python, options.workers) as served,
    ):
        measure({"floor": floor, "served": served}, options.rounds, options.seconds)


def measure(ports: dict[str, int], rounds: int, seconds: float) -> None:
    """Print one line per number of connections."""
    print(f"{'':>11} {'requests/s':>21} {'':>6} {'p50 ms':>15}")
    print(f"connections {'floor':>10} {'served':>10} {'ratio':>6} {'floor':>7} {'served':>7} ratio")
    for connections in CONNECTIONS:
        rates: dict[str, list[float]] = {name: [] for name in ports}
        middles: dict[str, list[float]] = {name: [] for name in ports}
        for _ in range(rounds):
            for name, port in ports.items():
                times = asyncio.run(load(port, connections, seconds))
                rates[name].append(len(times) / seconds)
                middles[name].append(statistics.median(times) * 1e3)
        rate = {name: statistics.median(values) for name, values in rates.items()}
        middle = {name: statistics.median(values) for name, values in middles.items()}
        print(
            f"{connections:>11} {rate['floor']:>10,.0f} {rate['served']:>10,.0f} "
            f"{ratio(rates['served'], rates['floor']):>6.2f} {middle['floor']:>7.3f} "
            f"{middle['served']:>7.3f} {ratio(middles['served'], middles['floor']):>5.2f}"
        )


def ratio(values: list[float], base: list[float]) -> float:
    """The median of the ratios within each round, so that drifts of the machine cancel."""
    return statistics.median(a / b for a, b in zip(values, base, strict=True))


if __name__ == "__main__":
    main()
