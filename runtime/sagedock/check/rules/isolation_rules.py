"""The rule on runs without a network: does the code get along without one?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sagedock.check.rules.rule import Rule
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.observations import Code, Hosting, Training
from sagedock.check.target import Target

_SIGNS = re.compile(
    r"Temporary failure in name resolution|Name or service not known|Network is unreachable"
    r"|No address associated with hostname|Could not connect to the endpoint URL"
    r"|[Cc]ould not resolve host|[Uu]nable to resolve host|Unable to locate credentials"
    r"|(No matching distribution found|Could not find a version that satisfies the requirement)"
)
"""What glibc's resolver and the kernel say without a network, and what botocore, curl, wget and pip
make of it. Credentials are fetched over the network, too: that of the container."""

_HOSTS = (
    re.compile(r"host=['\"]([\w.-]+)"),  # urllib3, which requests and pip are built on
    re.compile(r"\bhttps?://(?:[^/\s\"'@]*@)?([\w.-]+)"),
    re.compile(r"resolve host(?: address)?:? ['\"‘]?([\w.-]+)"),
)
_PACKAGE = re.compile(r"(?:distribution found for|satisfies the requirement) ([\w.\[\]-]+)")
_PIP = re.compile(r": /simple/([\w.-]+)/")
_NEAR = 40


@dataclass(frozen=True)
class Isolated:
    """What a run without a network printed, and whether it failed."""

    script: Code
    what: str
    lines: tuple[str, ...]
    failed: bool

    @classmethod
    def of(cls, seen: Training | Hosting) -> Isolated:
        if isinstance(seen, Training):
            lines = (*seen.lines, *seen.failure.splitlines())
            return cls(seen.script, "the training", lines, bool(seen.code))
        wrong = [answer for answer in seen.answers if not answer.is_fine]
        lines = (*seen.lines, *(line for answer in wrong for line in answer.told))
        return cls(seen.script, "the model server", lines, bool(seen.trouble or wrong))


@dataclass(frozen=True)
class IsolationRule(Rule[Isolated]):
    """Looks at a run in a container that was cut off from the network."""

    options: tuple[str, ...] = ("--run", "--backend", "docker", "--network-isolation")
    files: Mapping[str, str] = field(default_factory=dict)

    kind = "isolation"
    language = "python"


def uses_network(run: Isolated, target: Target) -> Hits:
    """The places that were asked for, each once. Whoever goes on without them may do so by plan."""
    told = list(dict.fromkeys(_tried(run.lines)))
    if not told:
        return
    tried = [name for name in told if name] or ["another host"]
    shown = ", ".join(tried[:3]) + (f" and {len(tried) - 3} more" if len(tried) > 3 else "")
    said = f"{run.what} asks for {shown}, and has no network"
    if run.failed:
        yield run.script.hit(run.lines, said)
    else:
        yield run.script.hit((), f"{said}; it goes on without", "advice")


def _tried(lines: Sequence[str]) -> Iterator[str]:
    """Hosts and packages; "" for what the log does not name."""
    for number, line in enumerate(lines):
        if not _SIGNS.search(line):
            continue
        if (package := _PACKAGE.search(line) or _PIP.search(line)) is not None:
            yield f"the package {package[1]}"
            continue
        yield _host(line) or _host_before(lines[max(0, number - _NEAR) : number])


def _host(line: str) -> str:
    found = (match[1] for pattern in _HOSTS if (match := pattern.search(line)))
    return next(found, "")


def _host_before(lines: Sequence[str]) -> str:
    """The lines of a traceback show the call, often with the address in it."""
    return next((host for line in reversed(lines) if (host := _host(line))), "")


_SCRIPT = """\
import os
import sys
import urllib.request

if __name__ == "__main__":
    print(sys.argv)
    {read}
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net"), "wb") as file:
        file.write(weights)
"""

RULES: tuple[IsolationRule, ...] = (
    IsolationRule(
        id="SD801",
        name="network-under-isolation",
        level="error",
        sentence="Under network isolation nothing is fetched: no package, no object, no page.",
        cloud="Temporary failure in name resolution, or Unable to locate credentials: the job is "
        "Failed, the endpoint never healthy.",
        fix="Bring it along: data in a channel, packages in the image, weights in model.tar.gz. Or "
        "leave EnableNetworkIsolation out.",
        failing=_SCRIPT.replace(
            "{read}", 'weights = urllib.request.urlopen("https://example.com/weights").read()'
        ),
        passing=_SCRIPT.replace("import urllib.request\n", "").replace("{read}", 'weights = b"1"'),
        sources=("aws/sagemaker-mxnet-training-toolkit#135: boto finds no credentials",
                 "CreateTrainingJob, EnableNetworkIsolation: no inbound or outbound network calls",
                 "mkt-algo-model-internet-free: not to Amazon S3 either, and no credentials"),
        check=uses_network,
    ),
)  # fmt: skip
"""On isolated runs."""
