"""Rules on how a model server holds out: times, load, memory, its end."""

from __future__ import annotations

import itertools
import statistics

from sagedock.check.rules import hosting_examples as examples
from sagedock.check.rules.hosting_examples import ANSWERS, CAREFUL, SUM, served
from sagedock.check.rules.hosting_rule import HostingRule, ImageHostingRule, good, healthy, shown
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.observations import GROWTH_BYTES, GROWTH_STEP, Hosting
from sagedock.check.target import Target
from sagedock.domain.instances import InstanceType
from sagedock.domain.pings import PING_TIMEOUT_SECONDS

_GROWTH_OF_EACH = 64 * 1024
_TAIL_COUNT = 20
_GIB = 1024**3
_STOP_SECONDS = 30
"""From SIGTERM to SIGKILL (your-algorithms-inference-code)."""


def slow(seen: Hosting, target: Target) -> Hits:
    late = [answer for answer in seen.answers if answer.sample.file and answer.is_late]
    if late:
        told = f"{shown(late[0])} has no answer after {late[0].seconds:.0f} s"
        yield seen.script.hit(late[0].told, told)


def growth(seen: Hosting, target: Target) -> Hits:
    """By the second half of the requests, and step by step: at first allocators grow too (MXNet's
    with several threads by 30 MiB in 220 requests), and a worker that is new."""
    steps = [after - before for before, after in itertools.pairwise(seen.growth)]
    if not steps:
        return
    more, count = sum(steps), GROWTH_STEP * len(steps)
    each = statistics.median_low(steps[len(steps) // 2 :]) // GROWTH_STEP
    if more > GROWTH_BYTES and each > _GROWTH_OF_EACH:
        told = f"{count} requests took {more / 2**20:.0f} MiB more: {each // 1024} KiB each"
        yield seen.script.hit((), told)


def busy_ping(seen: Hosting, target: Target) -> Hits:
    seconds = seen.busy_ping_seconds
    if seconds is not None and seconds > PING_TIMEOUT_SECONDS:
        told = (
            f"while 8 requests are in work, /ping is not answered within "
            f"{PING_TIMEOUT_SECONDS:g} s: it took {seconds:.1f} s or longer, twice"
        )
        yield seen.script.hit((), told)


def _needs_busy_ping(seen: Hosting, target: Target) -> str:
    if reason := good(seen, target):
        return reason
    if seen.not_together and seen.busy_ping_seconds is None:
        return seen.not_together
    answered = "8 requests at once were answered before a /ping could meet one in work"
    return answered if seen.busy_ping_seconds is None else ""


def ignored_stop(seen: Hosting, target: Target) -> Hits:
    if seen.ignored_stop:
        told = f"{seen.stop_seconds:.0f} s after SIGTERM the server still ran, without a request"
        yield seen.script.hit((), told)


def _needs_stop(seen: Hosting, target: Target) -> str:
    if reason := healthy(seen, target):
        return reason
    why = "a request was given up, and a server may wait for it before it ends"
    return why if seen.stop_seconds is None else ""


def worker_memory(seen: Hosting, target: Target) -> Hits:
    memory, instance = seen.worker_memory, InstanceType.parse(_instance_type(seen, target))
    workers, why = _workers(seen, instance)
    if memory is None or instance.memory_gib is None or workers is None:
        return
    whole = instance.memory_gib * _GIB
    needed = workers * memory.own + memory.files
    if needed > whole:
        fit = int((whole - memory.files) // memory.own)
        told = (
            f"a worker holds {memory.own / _GIB:.2f} GiB after a request; {workers} ({why}) hold "
            f"{needed / _GIB:.1f} GiB, and {instance.name} has {instance.memory_gib:g} GiB. "
        )
        line = f'env={{"SAGEMAKER_MODEL_SERVER_WORKERS": "{fit}"}} fits'
        yield seen.script.hit((), told + (line if fit > 0 else "Not even one fits"))


def _instance_type(seen: Hosting, target: Target) -> str:
    return seen.instance_type or target.instance_type or ""


def _workers(seen: Hosting, instance: InstanceType) -> tuple[int | None, str]:
    """How many the cloud starts, and why so many."""
    if seen.workers is not None:
        return seen.workers, "SAGEMAKER_MODEL_SERVER_WORKERS"
    if seen.one_per_gpu and instance.gpus:
        return instance.gpus, "one per GPU"
    return instance.vcpus, "one per vCPU"


def _needs_memory(seen: Hosting, target: Target) -> str:
    if reason := good(seen, target):
        return reason
    if not seen.is_ours:
        return "how many workers an image of your own starts is not known"
    name = _instance_type(seen, target)
    if not name:
        return "needs --instance-type, or the CreateEndpointConfig as --job"
    instance = InstanceType.parse(name)
    if instance.memory_gib is None or _workers(seen, instance)[0] is None:
        return f"what {name} has is not known"
    return "" if seen.worker_memory else "this system does not tell what a process holds"


def dropped(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        if answer.sample.file and answer.dropped:
            told = f"{shown(answer)}: the server closed the connection without an answer"
            yield seen.script.hit(answer.told, told)
            return


def near_the_limit(seen: Hosting, target: Target) -> Hits:
    most = seen.request_seconds / 2
    first, timing = next(seen.good), seen.timing
    if timing is None or timing.p95 <= most:
        return
    if timing.p50 > most:
        told = f"{shown(first)} takes {timing.p50:.1f} s (median of {timing.count})"
    elif timing.count >= _TAIL_COUNT:
        told = f"{shown(first)}: one in 20 takes over {timing.p95:.1f} s (of {timing.count})"
    else:
        return
    limit = f"; the limit is {seen.request_seconds:g} s, waiting for a free worker included"
    yield seen.script.hit((), told + limit)


RULES: tuple[HostingRule, ...] = (
    HostingRule(
        id="SD510",
        name="slow",
        level="error",
        sentence="A request is answered within 60 s.",
        cloud="ModelError: the invocation timed out; the container goes on computing.",
        fix="Make the request smaller, the model faster, or use batch transform.",
        failing=served(f"import time\n\ntime.sleep(30)\n{SUM}"),
        passing=ANSWERS,
        sources=("API_runtime_InvokeEndpoint.html: 60 seconds", "aws/sagemaker-python-sdk#1119",
                 "aws/amazon-sagemaker-examples#556"),
        check=slow,
        skips=healthy,
        options=("--run", "--request", "one.json", "--request-seconds", "2"),
    ),
    HostingRule(
        id="SD512",
        name="memory-growth",
        level="warning",
        sentence="A server holds as much memory after many requests as after a few.",
        cloud="After hours or days the container runs out of memory: its workers are killed.",
        fix="Keep no request, answer or array beyond its request.",
        failing=served(
            "KEPT.append(bytearray(1 << 20))\n"
            f"{CAREFUL}return json.dumps(sum(numbers)), accept"
        ).replace("\n\n\ndef model_fn", "\n\nKEPT = []\n\n\ndef model_fn"),
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#2955", "aws/amazon-sagemaker-examples#1657"),
        check=growth,
        skips=lambda seen, target: good(seen, target)
        or ("" if seen.growth else "too few requests were answered in the time, or this system "
            "does not tell what a process holds"),
    ),
    ImageHostingRule(
        id="SD513",
        name="busy-ping",
        level="error",
        sentence="/ping is answered within 2 s, also while requests are in work.",
        cloud="The health check fails under load: the instance gets no requests, and is replaced; "
        "a new endpoint is Failed: did not pass the ping health check.",
        fix="Serve with several threads or processes (ThreadingHTTPServer, `gunicorn --workers "
        "2`), or answer /ping in front of the model.",
        failing=examples.server_image(server="HTTPServer", answer="time.sleep(0.6)"),
        passing=examples.server_image(answer="time.sleep(0.6)"),
        sources=("your-algorithms-inference-code: a /ping has 2 seconds",
                 "aws/sagemaker-python-sdk#4115", "aws/amazon-sagemaker-examples#1113"),
        check=busy_ping,
        skips=_needs_busy_ping,
    ),
    ImageHostingRule(
        id="SD514",
        name="ignored-sigterm",
        level="warning",
        sentence="A server ends when it gets SIGTERM.",
        cloud="It is killed 30 s later: with the requests that it still took, and without its own "
        "end. Each update and each scaling in waits that long.",
        fix="Handle SIGTERM: the first process of a container has no default for it. A shell "
        "script hands over with `exec`.",
        failing=examples.server_image(stops=""),
        passing=examples.server_image(),
        sources=("your-algorithms-inference-code: SIGTERM, and SIGKILL 30 seconds later",
                 "huggingface/huggingface-inference-toolkit#94", "pid_namespaces(7), of signals to "
                 "the first process"),
        check=ignored_stop,
        skips=_needs_stop,
        options=("--request", "one.json", "--grace", "4"),
    ),
    HostingRule(
        id="SD515",
        name="worker-memory",
        level="error",
        sentence="All workers together fit into the instance: each has a model of its own.",
        cloud="Workers are killed for memory (signal 9), again and again: requests answer "
        "ModelError, or the endpoint never passes its health check.",
        fix="Set SAGEMAKER_MODEL_SERVER_WORKERS in the model's Environment (in the SDK `env={…}` "
        "or `model_server_workers`) to what fits, or take an instance with more memory per vCPU.",
        failing=served(f"{CAREFUL}return json.dumps(sum(numbers)), accept",
                       "return bytes([1]) * (80 << 20)"),
        passing=ANSWERS,
        sources=("aws/amazon-sagemaker-examples#3148", "autogluon/autogluon-cloud#39",
                 "aws/sagemaker-python-sdk#1275", "multi-model-server 1.1.8 ConfigManager; "
                 "sagemaker-container-support 1.1 environment.py"),
        check=worker_memory,
        skips=_needs_memory,
        options=("--run", "--request", "one.json", "--job", "model.json", "--job", "config.json"),
        files={"one.json": "[1, 2]\n", "model.json": examples.model_request(64),
               "config.json": examples.CONFIG},
    ),
    ImageHostingRule(
        id="SD516",
        name="dropped",
        level="error",
        sentence="Every request gets an answer, if only an error.",
        cloud="ModelError: Received server error (0) from model: Amazon SageMaker could not get a "
        "response from the endpoint. The traceback is in the endpoint's log only.",
        fix="Catch what a request raises and answer it with 400 or 500; where a worker dies, find "
        "out why: its memory, or a crash of a library.",
        failing=examples.server_image(answer='raise ValueError("no such column")'),
        passing=examples.server_image(),
        sources=("aws/amazon-sagemaker-examples#2815", "aws/amazon-sagemaker-examples#3089"),
        check=dropped,
        skips=healthy,
    ),
    HostingRule(
        id="SD517",
        name="near-the-limit",
        level="warning",
        sentence="A request alone takes less than half of the 60 s that it has.",
        cloud="ModelError, timed out, as soon as requests wait for each other, or on an instance "
        "that is slower than this machine.",
        fix="Send fewer rows a request, use batch transform or asynchronous inference.",
        failing=served(f"import time\n\n{CAREFUL}time.sleep(2.5)\n"
                       "return json.dumps(sum(numbers)), accept"),
        passing=ANSWERS,
        sources=("API_runtime_InvokeEndpoint.html: 60 seconds", "aws/sagemaker-python-sdk#241",
                 "aws/amazon-sagemaker-examples#799"),
        check=near_the_limit,
        skips=good,
        options=("--run", "--request", "one.json", "--request-seconds", "4.5"),
    ),
)  # fmt: skip
