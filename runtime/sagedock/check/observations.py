"""What was seen of a training run and of a model server; rules judge it, nothing here runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.check.findings import Level
from sagedock.check.rule import Hit

_FRAME = re.compile(r'\s*File "([^"]+)", line (\d+), in (\S+)')
_SOME_SECONDS, _TOGETHER = 3.0, 0.2
_ARGUMENTS = "SM_USER_ARGS="
_LAST = re.compile(r"(?:\w+\.)*(\w+(?:Error|Exception|Exit|Interrupt|Warning))\b:? ?(.*)")


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


def last_error(lines: Sequence[str]) -> str:
    """The last line that names an exception; "" where none does."""
    for line in reversed(lines):
        if (found := _LAST.fullmatch(line.strip())) is not None:
            return f"{found[1]}: {found[2]}".removesuffix(": ")[:200]
    return ""


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
class Sample:
    """A request's body as the user keeps it."""

    file: str
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Answer:
    """What came back: status 0 where nothing came in time. `log` are the lines of the server
    that were written meanwhile."""

    sample: Sample
    sent_type: str | None
    accept: str | None
    status: int
    content_type: str
    body: bytes
    seconds: float
    log: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        return 200 <= self.status < 300

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
class Hybridized:
    """One net asked as it is and hybridized: seconds of each, and whether the answers agree."""

    plain: float
    hybrid: float
    same_answers: bool
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
    busy_ping_seconds: float | None = None
    timing: Timing | None = None
    growth: tuple[int, int, int] | None = None
    """Bytes of memory before and after, and the requests between."""
    stop_seconds: float | None = None
    ignored_stop: bool = False
    hybridized: Hybridized | None = None

    @property
    def good(self) -> Iterator[Answer]:
        return (answer for answer in self.answers if answer.is_fine)


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
