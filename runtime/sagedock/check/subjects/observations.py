"""What was seen of a training run and of a model server; rules judge it, nothing here runs."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.check.findings import Level
from sagedock.check.subjects.hit import Hit
from sagedock.check.subjects.sample import Sample

_FRAME = re.compile(r'\s*File "([^"]+)", line (\d+), in (\S+)')
_SOME_SECONDS, _TOGETHER = 3.0, 0.2
_ARGUMENTS = "SM_USER_ARGS="
_LAST = re.compile(r"(?:\w+\.)*(\w+(?:Error|Exception|Exit|Interrupt|Warning))\b:? ?(.*)")


GROWTH_STEP = 20
"""Requests between two looks at a server's memory."""

GROWTH_BYTES = 20 * 1024 * 1024
"""Less than this is not looked into."""


@dataclass(frozen=True, slots=True)
class Code:
    """Where the user's files lie, by the ends of the paths that a run has for them."""

    root: Path
    entry: str
    shown: str
    """How the entry point is named in the report."""

    def place(self, lines: Sequence[str]) -> tuple[Path, int] | None:
        """The innermost line of the user's code in the last traceback of a log."""
        found = None
        for line in lines:
            frame = _FRAME.match(line)
            if frame is None:
                continue
            parts = Path(frame[1]).parts
            for start in (i + 1 for i, part in enumerate(parts) if part == "code"):
                file = self.root.joinpath(*parts[start:])
                if file.is_file():
                    found = (file, int(frame[2]))
        return found

    def hit(self, lines: Sequence[str], message: str, level: Level | None = None) -> Hit:
        """At the line of the user's code that failed; at the entry point where none did."""
        place = self.place(lines)
        if place is None:
            return Hit(self.shown, 1, 1, message, level)
        file, line = place
        shown = Path(self.shown).parent / file.relative_to(self.root)
        if file == self.root / self.entry:
            shown = Path(self.shown)
        text = file.read_text(encoding="utf-8", errors="replace").splitlines()
        source = text[line - 1] if line <= len(text) else ""
        column = len(source) - len(source.lstrip()) + 1
        return Hit(shown.as_posix(), line, column, message, level, source)


_SAID = re.compile(r'^ErrorMessage "(.*?)"$(?=\n(?:ExtraInfo|Command) ")', re.MULTILINE | re.DOTALL)
"""What the command printed last, in the failure file of a toolkit."""


def last_error(lines: Sequence[str]) -> str:
    """The last line that names an exception; "" where none does."""
    for line in reversed(lines):
        if (found := _LAST.fullmatch(line.strip())) is not None:
            return _shortened(f"{found[1]}: {found[2]}".removesuffix(": "))
    return ""


def _shortened(text: str) -> str:
    """At the end of a word, where it is long."""
    return text if len(text) <= 200 else f"{text[:199].rpartition(' ')[0] or text[:199]}…"


@dataclass(frozen=True)
class Host:
    """One host of a training run after its end; files by their path below the folder."""

    name: str
    model: Mapping[str, int]
    output: Mapping[str, int]
    elsewhere: tuple[str, ...]
    checkpoints: Mapping[str, int]
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A training run. `code` is its exit code, None where it was stopped when its time was over;
    `reason` the FailureReason that the service would tell."""

    script: Code
    code: int | None
    reason: str
    failure: str
    lines: tuple[str, ...]
    seconds: float
    hosts: tuple[Host, ...]
    metrics: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float | None = None
    """From SIGTERM to the end; None where no SIGTERM was sent."""
    ignored_stop: bool = False
    resumed: Training | None = None
    """The same once more, with the checkpoints of the first run."""
    remark: str = ""
    """What the backend knows of the end beyond the exit code, as the FailureReason begins."""
    in_container: bool = False
    isolated: bool = False
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    """As in hyperparameters.json: sagemaker_… ones too."""
    has_own_image: bool = False
    """It ran in an image that was named, and not in the one of ours for the script."""
    ignored_script: bool = False
    """No toolkit of the image fetched the script that was submitted to it."""
    spread_seconds: float = 0.0
    """From the first line to the last, by the clock of whoever took them down."""
    unbuffered: Training | None = None
    """The same once more, with PYTHONUNBUFFERED; None where lines came along."""

    @property
    def went_well(self) -> bool:
        return self.code == 0

    @property
    def cause(self) -> str:
        """The exception that ended it; without one the last line that the script, argparse or pip
        printed. "" where nothing tells."""
        found = _SAID.search(self.failure)
        said = [line.strip() for line in found[1].splitlines() if line.strip()] if found else []
        printed = _shortened(said[-1]) if said else ""
        error = last_error(self.lines) or last_error(self.failure.splitlines())
        return last_error(said) or printed or error

    @property
    def lines_came_together(self) -> bool:
        """Of a run of some seconds: all lines in a small part of it, or none."""
        return self.seconds > _SOME_SECONDS and self.spread_seconds < _TOGETHER * self.seconds

    @property
    def arguments(self) -> list[str] | None:
        """What followed the script's name: as script mode's toolkits tell it in the log. None where
        they do not."""
        for line in self.lines:
            if line.startswith(_ARGUMENTS):
                try:
                    told = json.loads(line.removeprefix(_ARGUMENTS))
                except ValueError:
                    return None
                return told if isinstance(told, list) else None
        return None

    @property
    def model(self) -> Mapping[str, int]:
        return {name: size for host in self.hosts for name, size in host.model.items()}


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 where nothing did, in time or, if `dropped`, at all. `log` are the
    lines of the server that were written meanwhile."""

    sample: Sample
    sent_type: str | None
    accept: str | None
    status: int
    content_type: str
    body: bytes
    seconds: float
    log: tuple[str, ...] = ()
    dropped: bool = False

    @property
    def is_fine(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_late(self) -> bool:
        """It was waited for, and given up."""
        return self.status == 0 and not self.dropped

    @property
    def told(self) -> list[str]:
        """Log and, of an error, the body: one of them has the traceback."""
        body = "" if self.is_fine else self.body.decode("utf-8", errors="replace")
        return [*self.log, *body.splitlines()]


@dataclass(frozen=True)
class Timing:
    """Seconds of single requests, one after the other."""

    p50: float
    p95: float
    count: int


@dataclass(frozen=True)
class WorkerMemory:
    """Bytes of one worker with its model: `own`, and `files`, which all workers share."""

    own: int
    files: int


_MANY_TURNS = 5
_NEARLY_ANY = 0.85


@dataclass(frozen=True)
class Comparison:
    """One model served in two ways, asked in turns by `clients` at once: answers a second of each
    turn, and whether the answers agree."""

    was: str
    now: str
    before: tuple[float, ...]
    after: tuple[float, ...]
    same_answers: bool
    clients: int
    cores: int

    @property
    def rates(self) -> tuple[float, float]:
        """The medians."""
        return statistics.median(self.before), statistics.median(self.after)

    @property
    def gain(self) -> float:
        """How many times as many answers a second; 1 where chance could explain it."""
        was, now = self.rates
        return now / was if self.same_answers and self.is_clear and was else 1.0

    @property
    def is_clear(self) -> bool:
        """Whether any turn is better than any turn before the change; of many turns, nearly any: a
        machine with other things to do spoils one now and then (Mann and Whitney's U, one-sided:
        5 % for three turns of each, 3 % for five)."""
        better = sum(after > before for before in self.before for after in self.after)
        share = better / (len(self.before) * len(self.after))
        return share == 1 or (len(self.before) >= _MANY_TURNS and share >= _NEARLY_ANY)


@dataclass(frozen=True)
class Hybridized:
    """One net asked as it is and hybridized; where the line belongs."""

    compared: Comparison
    place: tuple[str, int]


@dataclass(frozen=True)
class Hosting:
    """A model server. `trouble` says why it never became healthy, "" where it did."""

    script: Code
    trouble: str
    lines: tuple[str, ...]
    start_seconds: float
    answers: tuple[Answer, ...] = ()
    without_type: tuple[Answer, ...] = ()
    any_accept: tuple[Answer, ...] = ()
    broken: tuple[Answer, ...] = ()
    """Answers to an empty body and to one that is cut in the middle."""
    healthy_after_broken: bool = True
    together: tuple[tuple[Answer, Answer], ...] = ()
    """Each: the answer to a request alone, and to the same one among others."""
    not_together: str = ""
    """Why requests at once were not asked, or their answers not compared."""
    busy_ping_seconds: float | None = None
    """None where no /ping met requests in work."""
    request_seconds: float = 60.0
    timing: Timing | None = None
    growth: tuple[int, ...] = ()
    """Bytes that the server held after each GROWTH_STEP requests, when it was warm."""
    is_ours: bool = True
    """Whether the image is of ours, whose workers and variables are known."""
    instance_type: str | None = None
    is_serverless: bool = False
    workers: int | None = None
    """How many the user asks for."""
    one_per_gpu: bool = True
    worker_memory: WorkerMemory | None = None
    grace_seconds: float = 30.0
    stop_seconds: float | None = None
    """From SIGTERM to the end; None where a request was in work, or none was sent."""
    ignored_stop: bool = False
    hybridized: Hybridized | None = None
    threads: Comparison | None = None
    more_workers: Comparison | None = None

    @property
    def good(self) -> Iterator[Answer]:
        return (answer for answer in self.answers if answer.is_fine)

    @property
    def measured(self) -> dict[str, float | int]:
        """What a report tells of a server that was asked."""
        found: dict[str, float | int] = {"start_seconds": round(self.start_seconds, 2)}
        if self.timing is None:
            return {}
        found["p50_seconds"] = round(self.timing.p50, 4)
        found["p95_seconds"] = round(self.timing.p95, 4)
        found["requests"] = self.timing.count
        if self.worker_memory is not None and self.is_ours:
            found["worker_memory_bytes"] = self.worker_memory.own
        if self.busy_ping_seconds is not None:
            found["busy_ping_seconds"] = round(self.busy_ping_seconds, 3)
        if self.stop_seconds is not None:
            found["stop_seconds"] = round(self.stop_seconds, 2)
        return found


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
