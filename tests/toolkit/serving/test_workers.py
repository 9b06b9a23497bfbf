"""Workers that die, hang, fork and stop: only the request they had may notice."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import (
    ECHO,
    LEGACY,
    MODERN,
    PATIENCE,
    Reply,
    Served,
    World,
    read_to_end,
    wait_until,
)

SHOW_ENVIRONMENT = """
    import os
    def model_fn(model_dir): return None
    def transform_fn(m, d, c, a): return dict(os.environ)
"""


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def worker_pids(served: Served, count: int) -> set[int]:
    pids: set[int] = set()
    with ThreadPoolExecutor(count) as pool:
        while len(pids) < count:
            replies = pool.map(lambda _: served.invoke({"sleep": 0.05}), range(count))
            pids |= {reply.json["pid"] for reply in replies}
    return pids


class InFlight:
    """A request of ECHO under way in a thread of its own; a worker has begun it."""

    def __init__(self, served: Served, order: dict[str, object]) -> None:
        self.reply: Reply | None = None
        word = f"request-{time.monotonic_ns()}"
        asked = (served, {**order, "told": word})
        self._thread = threading.Thread(target=self._invoke, args=asked)
        self._thread.start()
        served.wait_for_log(f"began {word}")

    def _invoke(self, served: Served, order: object) -> None:
        self.reply = served.invoke(order)

    def result(self) -> Reply:
        self._thread.join()
        assert self.reply is not None
        return self.reply


def test_requests_run_side_by_side_in_the_workers(modern_echo: Served) -> None:
    assert len(worker_pids(modern_echo, 2)) == 2


@pytest.mark.parametrize(("version", "status"), [(LEGACY, 502), (MODERN, 500)])
def test_a_worker_killed_in_flight_fails_its_own_request_alone(
    world: World, version: str, status: int
) -> None:
    served = world.serve(ECHO, version, workers=2)
    slow = InFlight(served, {"sleep": 0.5})

    died = served.invoke({"die": True})

    assert died.status == status
    assert slow.result().status == 200
    assert [served.invoke([1]).status for _ in range(10)] == [200] * 10
    assert "signal 9 (SIGKILL)" in served.log


@pytest.mark.parametrize("fork", ["1", "0"])
def test_idle_workers_that_are_killed_are_replaced(world: World, fork: str) -> None:
    served = world.serve(ECHO, workers=2, SAGEDOCK_FORK=fork)
    before = worker_pids(served, 2)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: served.log.count("another one takes its place") == 2, "both to be missed")

    assert worker_pids(served, 2).isdisjoint(before)


@pytest.mark.parametrize("fork", ["1", "0"])
def test_forked_or_not_a_script_is_imported_once_per_process_that_loads_it(
    world: World, fork: str
) -> None:
    script = ECHO + "\n    print('imported', flush=True)\n"
    served = world.serve(script, workers=2, SAGEDOCK_FORK=fork)
    worker_pids(served, 2)

    assert served.log.count("imported") == (1 if fork == "1" else 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("threading.Thread(target=time.sleep, args=(60,), daemon=True, name='mine').start()",
         "threads run after model_fn: mine"),
        ("return socket.socketpair()", "model_fn left open: socket:"),
        ("return open(__file__)", "script.py"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_with_a_fork_is_seen_and_workers_are_spawned(
    world: World, line: str, reason: str
) -> None:
    script = f"""
import json, os, socket, threading, time
def model_fn(model_dir):
    {line}
def transform_fn(m, d, c, a):
    time.sleep(json.loads(d)["sleep"])
    return {{"pid": os.getpid()}}
"""
    served = world.serve(script, workers=2)

    assert len(worker_pids(served, 2)) == 2
    assert "Workers are not forked" in served.log
    assert reason in served.log


def test_without_its_template_a_server_goes_on(world: World) -> None:
    served = world.serve(ECHO, workers=1)
    (worker,) = worker_pids(served, 1)
    (template,) = set(children(served.process.pid)) - {worker}
    os.kill(template, signal.SIGKILL)
    served.wait_for_log("workers are started without it")

    assert served.invoke([1]).json["pid"] == worker
    assert served.invoke({"die": True}).status == 500
    assert served.invoke([1]).status == 200


def test_template_and_worker_may_die_in_the_same_moment(world: World) -> None:
    served = world.serve(ECHO, workers=1)
    for pid in children(served.process.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "another one takes its place" in served.log, "the loss to be seen")

    assert served.invoke([1]).status == 200


@pytest.mark.parametrize(("version", "status"), [(LEGACY, 504)])
def test_a_hung_worker_is_ended_and_replaced(world: World, version: str, status: int) -> None:
    served = world.serve(ECHO, version, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")
    served.invoke([1])
    hung = InFlight(served, {"sleep": 60})

    assert served.invoke([1]).status == 200
    assert hung.result().status == status
    assert "took longer than 1 s" in served.log


def test_a_worker_that_hangs_in_its_first_request_after_the_fork_ends_forking(
    world: World,
) -> None:
    served = world.serve(ECHO, LEGACY, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")

    assert served.invoke({"sleep": 60}).status == 504
    assert "hangs since its fork; workers are spawned from now on" in served.log
    assert served.invoke([1]).status == 200


def test_a_busy_first_request_is_not_taken_for_one_that_hangs(world: World) -> None:
    script = """
        def model_fn(model_dir): return None
        def transform_fn(m, d, c, a):
            while True: pass
    """
    served = world.serve(script, LEGACY, SAGEMAKER_MODEL_SERVER_TIMEOUT="1")

    assert served.invoke([1]).status == 504
    assert "took longer than 1 s" in served.log
    assert "hangs" not in served.log


def test_a_full_queue_is_a_503_in_script_mode(world: World) -> None:
    served = world.serve(ECHO, MODERN)
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    request = head + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    clients = [served.connect() for _ in range(104)]
    # All are sent while the only worker is busy with another one.
    slow = InFlight(served, {"sleep": 5})
    for client in clients:
        client.sendall(request)

    answers = [read_to_end(client) for client in clients]
    for client in clients:
        client.close()
    refused = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503 ")]
    assert len(refused) == 4  # one is with the worker, a hundred wait
    assert b"No worker is available to serve request: model" in refused[0]
    assert sum(answer.startswith(b"HTTP/1.1 200 ") for answer in answers) == 100
    assert slow.result().status == 200


def test_a_request_whose_client_left_is_not_started(world: World) -> None:
    script = ECHO.replace("order = json", "print('ran', data, flush=True); order = json")
    served = world.serve(script)
    slow = InFlight(served, {"sleep": 3})
    with served.connect() as client:
        client.sendall(
            b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 13\r\n\r\n{"gone": true}'[:-1]
        )
    slow.result()

    assert served.invoke({"here": 1}).status == 200
    assert "gone" not in served.log


def test_sigterm_lets_a_request_under_way_finish(world: World) -> None:
    served = world.serve(ECHO, workers=2)
    idle = served.connect()
    slow = InFlight(served, {"sleep": 0.7})
    served.process.send_signal(signal.SIGTERM)

    reply = slow.result()
    assert (reply.status, reply.headers["Connection"]) == (200, "close")
    assert served.process.wait(PATIENCE) == 0
    assert idle.recv(1) == b""
    idle.close()


def test_sigterm_to_the_whole_group_lets_a_request_finish_too(world: World) -> None:
    served = world.serve(ECHO, workers=1)
    (worker,) = worker_pids(served, 1)
    slow = InFlight(served, {"sleep": 0.5})
    for pid in (worker, *children(served.process.pid), served.process.pid):
        os.kill(pid, signal.SIGTERM)

    assert slow.result().status == 200
    assert served.process.wait(PATIENCE) == 0


def test_nothing_is_left_when_the_server_ends(world: World) -> None:
    script = ECHO.replace("import json", "import subprocess, json").replace(
        'return {"dir"', 'subprocess.Popen(["sleep", "60"]); return {"dir"'
    )
    served = world.serve(script, workers=2)
    worker_pids(served, 2)
    tree = children(served.process.pid)
    tree += [grandchild for child in tree for grandchild in children(child)]

    assert len(tree) >= 4
    assert served.stop() == 0
    wait_until(lambda: not any(is_alive(pid) for pid in tree), "all processes to end")


def test_workers_and_template_die_with_a_server_that_is_killed(world: World) -> None:
    served = world.serve(ECHO, workers=2)
    worker_pids(served, 2)
    client = served.connect()
    client.sendall(
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 13\r\n\r\n{"sleep": 60}'
    )
    time.sleep(0.2)
    tree = children(served.process.pid)
    served.process.kill()
    served.process.wait()

    assert len(tree) == 3
    wait_until(lambda: not any(is_alive(pid) for pid in tree), "all processes to end")
    client.close()


def test_a_worker_whose_child_holds_its_socket_is_missed_all_the_same(world: World) -> None:
    script = """
        import os, time
        def model_fn(model_dir): return None
        def transform_fn(m, d, c, a):
            if d == "die":
                if os.fork() == 0:
                    time.sleep(5)
                os._exit(3)
            return "alive"
    """
    served = world.serve(script)
    reply = served.invoke("die", {"Content-Type": "text/csv"})

    assert reply.status == 500
    assert "ended with exit code 3" in served.log
    assert served.invoke("x", {"Content-Type": "text/csv"}).body == b"alive"


def test_a_worker_that_dies_while_loading_is_tried_again_after_a_pause(world: World) -> None:
    served = world.serve("import os\nos._exit(5)", LEGACY, wait=False, SAGEDOCK_FORK="0")
    served.wait_for_log("next try in 0.50 s")

    assert served.process.poll() is None
    assert "ended with exit code 5" in served.log


def test_what_a_script_prints_is_in_the_log_at_once(world: World) -> None:
    served = world.serve(
        """
        import logging
        def model_fn(d): print("printed by model_fn")
        def transform_fn(m, d, c, a):
            print("printed by transform_fn"); logging.info("logged by transform_fn")
            return 1
        """
    )
    served.invoke([1])

    for what in ("printed by model_fn", "printed by transform_fn", "INFO - root - logged by"):
        assert what in served.log


def test_a_worker_has_its_share_of_the_processors(world: World) -> None:
    cpus = len(os.sched_getaffinity(0))
    served = world.serve(SHOW_ENVIRONMENT, workers=1)
    environment = served.invoke([1]).json

    assert environment["OMP_NUM_THREADS"] == str(cpus)
    assert environment["MXNET_CPU_WORKER_NTHREADS"] == "1"
    assert "SAGEDOCK_ACCEPTOR" not in environment


def test_the_users_own_number_of_threads_wins_with_a_warning(world: World) -> None:
    served = world.serve(SHOW_ENVIRONMENT, workers=2, OMP_NUM_THREADS="64")

    assert served.invoke([1]).json["OMP_NUM_THREADS"] == "64"
    assert "OMP_NUM_THREADS is 64" in served.log


def test_there_is_a_worker_for_each_processor(world: World) -> None:
    served = world.serve(ECHO, SAGEMAKER_MODEL_SERVER_WORKERS="")

    assert f"{len(os.sched_getaffinity(0))} worker(s)" in served.log


def test_arguments_of_the_worker_are_hidden_from_scripts_that_read_them(world: World) -> None:
    served = world.serve(
        """
        import argparse
        argparse.ArgumentParser().parse_args()
        def model_fn(d): return None
        def transform_fn(m, d, c, a): return "parsed"
        """
    )

    assert served.invoke([1]).body == b"parsed"
