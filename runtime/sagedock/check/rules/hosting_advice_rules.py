"""Advice on serving faster: each measured on this run, both ways."""

from __future__ import annotations

import json
from pathlib import Path

from sagedock.check.rules import hosting_examples as examples
from sagedock.check.rules.hosting_examples import ANSWERS, CAREFUL, gluon, served
from sagedock.check.rules.hosting_rule import HostingRule, good, shown
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.observations import Comparison, Hosting
from sagedock.check.target import Target

_LARGE_JSON = 128 * 1024
_HYBRID_GAIN = 1.1
_GAIN = 1.15


def never_hybridized(seen: Hosting, target: Target) -> Hits:
    found = seen.hybridized
    if found is None or found.compared.gain < _HYBRID_GAIN:
        return
    plain, hybrid = found.compared.rates
    file, line = found.place
    told = (
        f"hybridized, a request takes {1000 / hybrid:.1f} ms instead of "
        f"{1000 / plain:.1f} ms (median, this machine), with the same answers"
    )
    text = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    yield Hit(file, line, 1, told, source=text[line - 1] if line <= len(text) else "")


def json_numbers(seen: Hosting, target: Target) -> Hits:
    for answer in seen.good:
        body = answer.sample.body
        is_large = len(body) > _LARGE_JSON and answer.sent_type == "application/json"
        if answer.sample.file and is_large and (count := _count(body)):
            told = (
                f"{shown(answer)} has {len(body) / 1024:.0f} KiB for {count} numbers; as .npy of "
                f"float32 it has {(4 * count + 128) / 1024:.0f} KiB"
            )
            yield seen.script.hit((), told)
            return


def _count(body: bytes) -> int:
    """How many numbers a JSON array holds; 0 where it holds anything else."""

    def counted(value: object) -> int:
        if isinstance(value, list):
            counts = [counted(item) for item in value]
            return 0 if 0 in counts else sum(counts)
        return int(isinstance(value, (int, float)) and not isinstance(value, bool))

    try:
        return counted(json.loads(body))
    except (ValueError, RecursionError):
        return 0


def threads(seen: Hosting, target: Target) -> Hits:
    yield from _faster(seen, seen.threads)


def workers(seen: Hosting, target: Target) -> Hits:
    yield from _faster(seen, seen.more_workers)


def _faster(seen: Hosting, found: Comparison | None) -> Hits:
    if found is None or found.gain < _GAIN:
        return
    was, now = found.rates
    env = ", ".join('"{}": "{}"'.format(*one.split("=")) for one in found.now.split(", "))
    told = (
        f"{found.clients} clients get {was:.0f} answers a second with {found.was}, and {now:.0f} "
        f"with {found.now} (medians, asked in turns; this machine has {found.cores} cores), and "
        f"the same answers: env={{{env}}}"
    )
    yield seen.script.hit((), told)


def _of_ours(seen: Hosting, target: Target) -> str:
    if reason := good(seen, target):
        return reason
    return "" if seen.is_ours else "what an image of your own makes of its variables is not known"


RULES: tuple[HostingRule, ...] = (
    HostingRule(
        id="SD601",
        name="never-hybridized",
        level="advice",
        sentence="A Gluon net that is hybridized answers faster.",
        cloud="Nothing fails; instances answer fewer requests than they could.",
        fix="After the parameters are loaded: `net.hybridize(static_alloc=True, "
        "static_shape=True)`.",
        failing=gluon(""),
        passing=gluon("    net.hybridize(static_alloc=True, static_shape=True)\n"),
        sources=("MXNet 1.9.1, measured by this check on your machine, both ways",),
        check=never_hybridized,
        skips=lambda seen, target: good(seen, target)
        or ("" if seen.hybridized else "no Gluon net without hybridize is served"),
        files={"one.json": "[[1, 2, 3, 4, 5, 6, 7, 8]]\n"},
    ),
    HostingRule(
        id="SD602",
        name="json-numbers",
        level="advice",
        sentence="Numbers as JSON text have several times the bytes of the same in .npy.",
        cloud="Nothing fails; each request takes longer to send and to read, and meets the limit "
        "of 6 MiB sooner.",
        fix="Send application/x-npy: `numpy.save` writes it, MXNet's default handlers read it.",
        failing=ANSWERS,
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#799", "aws/amazon-sagemaker-examples#324"),
        check=json_numbers,
        skips=good,
        files={"one.json": json.dumps([0.123456789] * 20_000), "two.json": "[1, 2]\n"},
        passing_options=("--run", "--request", "two.json"),
    ),
    HostingRule(
        id="SD603",
        name="threads",
        level="advice",
        sentence="Workers that share the processors compute with one thread each.",
        cloud="Nothing fails; the threads of all workers take the processors from each other, and "
        "each request takes several times as long.",
        fix="Leave OMP_NUM_THREADS and its like away, or set them to 1: the cloud starts a worker "
        "for each vCPU.",
        failing=examples.convolutions(),
        passing=examples.convolutions(),
        sources=("aws/deep-learning-containers#997", "aws/sagemaker-xgboost-container#277",
                 "async-inference-troubleshooting, of OMP_NUM_THREADS",
                 "measured by this check on your machine, both ways"),
        check=threads,
        skips=lambda seen, target: _of_ours(seen, target)
        or ("" if seen.threads else "the model's Environment asks for no more than one thread, or "
            "a request takes too long to compare"),
        options=("--run", "--request", "one.json", "--job", "model.json"),
        passing_options=("--run", "--request", "one.json"),
        files={"one.json": "[[1]]\n", "model.json": examples.model_request(None, threads=2)},
    ),
    HostingRule(
        id="SD604",
        name="workers",
        level="advice",
        sentence="There are as many workers as processors, if the memory suffices.",
        cloud="Nothing fails; requests wait for a worker while processors have nothing to do.",
        fix="Leave SAGEMAKER_MODEL_SERVER_WORKERS away, or raise it: the cloud starts a worker for "
        "each vCPU. SD515 says how many fit.",
        failing=served(f"import time\n\ntime.sleep(0.04)\n{CAREFUL}"
                       "return json.dumps(sum(numbers)), accept"),
        passing=served(f"import time\n\ntime.sleep(0.04)\n{CAREFUL}"
                       "return json.dumps(sum(numbers)), accept"),
        sources=("aws/sagemaker-python-sdk#1275", "aws/amazon-sagemaker-examples#1073",
                 "measured by this check on your machine, both ways"),
        check=workers,
        skips=lambda seen, target: _of_ours(seen, target)
        or ("" if seen.more_workers else "the model's Environment asks for no fewer workers than "
            "this machine has processors, or a request takes too long to compare"),
        options=("--run", "--request", "one.json", "--job", "model.json"),
        passing_options=("--run", "--request", "one.json"),
        files={"one.json": "[1, 2]\n", "model.json": examples.model_request(1)},
    ),
)  # fmt: skip
