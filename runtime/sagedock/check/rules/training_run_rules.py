"""Rules on a training run that was really made: how it ended, and what it left where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sagedock.check.rules import request_examples as examples
from sagedock.check.rules.rule import Rule, always
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.subjects.observations import Training
from sagedock.check.target import Target

_GRACE_SECONDS = 120
_EPOCH = re.compile(r"\bepoch\b\D{0,3}(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class TrainingRule(Rule[Training]):
    """Looks at a run. `options` are those of `sagedock check` for its examples, `files` what they
    name."""

    skips: Callable[[Training, Target], str] = always
    options: tuple[str, ...] = ("--run",)
    files: Mapping[str, str] = field(default_factory=dict)

    kind = "training"
    language: ClassVar[Literal["python", "dockerfile"]] = "python"


def _went_well(run: Training, target: Target) -> str:
    if run.code is None:
        return f"the training was stopped after {run.seconds:.0f} s: see --seconds"
    return "" if run.went_well else "the training failed: see SD401"


def fails(run: Training, target: Target) -> Hits:
    if run.code:
        why = run.remark or run.cause
        told = f"the training ends with exit code {run.code}: {why}".removesuffix(": ")
        yield run.script.hit([*run.failure.splitlines(), *run.lines], told)


def not_to_be_judged(run: Training) -> str:
    """Why a failure says nothing of the cloud: the script wants what only a container has, or an
    AWS that answers; "" where it does."""
    told = "\n".join((*run.lines[-60:], run.failure))
    if run.code and not run.in_container and re.search(r"['\"]/opt/ml\b", told):
        return "the script spells /opt/ml, which only a container has: --backend docker"
    calls = run.code and not run.isolated
    if calls and re.search(r"127\.0\.0\.1:9\b|EndpointConnectionError", told):
        return "the script calls AWS, and a check calls nobody"
    return ""


def empty_model(run: Training, target: Target) -> Hits:
    if run.model:
        return
    elsewhere = [file for host in run.hosts for file in host.elsewhere]
    told = "the training ends well, and nothing lies in /opt/ml/model"
    if elsewhere:
        told += f"; it wrote {_few(elsewhere)}"
    yield _at_entry(run, told)


def files_elsewhere(run: Training, target: Target) -> Hits:
    elsewhere = [file for host in run.hosts for file in host.elsewhere]
    if elsewhere and run.model:
        told = f"written where nothing is kept: {_few(elsewhere)}"
        yield _at_entry(run, told)


def failure_without_code(run: Training, target: Target) -> Hits:
    if run.failure.strip():
        told = f"the failure file says {run.failure.strip().splitlines()[0]:.80}, and the exit"
        yield _at_entry(run, f"{told} code is 0")


def silent_metric(run: Training, target: Target) -> Hits:
    for name, regex in run.metrics.items():
        pattern = _compiled(regex)
        if pattern is None or not pattern.groups:
            continue
        if not any(_is_number(pattern, line) for line in run.lines):
            told = f"the metric {name} matches none of {len(run.lines)} lines: {regex}"
            yield _at_entry(run, told)


def _compiled(regex: str) -> re.Pattern[str] | None:
    try:
        return re.compile(regex)
    except re.error:
        return None  # SD226


def _is_number(pattern: re.Pattern[str], line: str) -> bool:
    found = pattern.search(line)
    try:
        return found is not None and float(found.group(1)) is not None
    except (TypeError, ValueError):
        return False


def ignored_stop(run: Training, target: Target) -> Hits:
    if run.ignored_stop and run.stop_seconds is not None:
        told = f"{run.stop_seconds:.0f} s after SIGTERM it still runs"
        if run.stop_seconds < _GRACE_SECONDS:
            told += f"; the cloud waits {_GRACE_SECONDS} s, and so does --grace {_GRACE_SECONDS}"
        yield _at_entry(run, told)


def same_files(run: Training, target: Target) -> Hits:
    seen: dict[str, tuple[str, str]] = {}
    for host in run.hosts:
        for file, digest in host.digests.items():
            other = seen.setdefault(file, (host.name, digest))
            if other[1] != digest:
                told = f"{other[0]} and {host.name} write {file} each, and not the same"
                yield _at_entry(run, told)
                return


def no_resume(run: Training, target: Target) -> Hits:
    again = run.resumed
    assert again is not None
    if again.code:
        told = f"with its own checkpoints it ends with exit code {again.code}"
        yield run.script.hit(again.lines, f"{told}: {again.cause}".removesuffix(": "), "error")
        return
    first, second = _epochs(run), _epochs(again)
    if len(first) > 1 and second[:1] == first[:1] and len(second) >= len(first):
        told = f"with the checkpoints of {len(first)} epochs it begins at {first[0]} again"
        yield _at_entry(run, told)


def _epochs(run: Training) -> list[int]:
    """Numbers of the epochs, each once, in the order of the log."""
    found = [int(match[1]) for line in run.lines if (match := _EPOCH.search(line))]
    return list(dict.fromkeys(found))


def _needs_resume(run: Training, target: Target) -> str:
    if reason := _went_well(run, target):
        return reason
    if run.resumed is None:
        return "the script writes nothing into /opt/ml/checkpoints, or --resume is not there"
    return ""


def ignored_script(run: Training, target: Target) -> Hits:
    if run.ignored_script:
        told = "the image trained without the script: nothing in it fetched what the"
        yield _at_entry(run, f"{told} hyperparameter sagemaker_submit_directory names")


def late_lines(run: Training, target: Target) -> Hits:
    """What is printed at one moment, because there is no more to print, is so in both runs."""
    again = run.unbuffered
    if again is None or again.spread_seconds < max(1.0, 5 * run.spread_seconds):
        return
    seen = f"all {len(run.lines)} lines came at once" if run.lines else "not a line was printed"
    over = f"over {again.spread_seconds:.1f} s"
    yield _at_entry(run, f"{seen} in {run.seconds:.0f} s; with PYTHONUNBUFFERED=1 they come {over}")


def _needs_own_image(run: Training, target: Target) -> str:
    return "" if run.has_own_image else "is about images of one's own: needs --image"


def _at_entry(run: Training, told: str) -> Hit:
    return Hit(run.script.shown, 1, 1, told)


def _few(files: list[str]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def script(body: str) -> str:
    """A script of script mode that saves a model, and does what `body` says before."""
    return (
        'import os\nimport sys\n\nif __name__ == "__main__":\n'
        + "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
        + '    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net"), "w") as file:\n'
        + '        file.write("1")\n    print("loss=0.5", sys.argv)\n'
    )


@dataclass(frozen=True)
class ContainerRule(TrainingRule):
    """One that holds for images of one's own: its examples are Dockerfiles."""

    options: tuple[str, ...] = ("--image", "my-algo", "--run")

    language = "dockerfile"


_BASE = "FROM python:3.11-slim-bookworm\n"
_ALGORITHM = (
    _BASE
    + 'RUN printf \'#!/usr/bin/env python3\\nopen("/opt/ml/model/net", "w").write("1")\\n\' \\\n'
    " > /usr/local/bin/train && chmod +x /usr/local/bin/train\n"
)
_SLOW_ALGORITHM = (
    _BASE
    + "RUN printf '#!/usr/bin/env python3\\nimport time\\nfor epoch in range(6):\\n' > /train \\\n"
    " && printf '    print(epoch)\\n    time.sleep(1)\\n' >> /train \\\n"
    ' && printf \'open("/opt/ml/model/net", "w").write("1")\\n\' >> /train \\\n'
    " && install /train /usr/local/bin/train\n"
)
_PASSING = script("pass").replace("    pass\n", "")
_METRICS = {
    "TrainingImage": examples.IMAGE,
    "TrainingInputMode": "File",
    "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
}
_JOB = {
    "job.json": examples.training(AlgorithmSpecification=_METRICS, HyperParameters=examples.CODE)
}
_CHECKPOINTS = """\
import os
import sys

FOLDER = os.path.join(os.path.dirname(os.environ["SM_MODEL_DIR"]), "checkpoints")


def first_epoch():
    return {first}


if __name__ == "__main__":
    for epoch in range(first_epoch(), 3):
        print("epoch", epoch, sys.argv)
        with open(os.path.join(FOLDER, str(epoch)), "w") as file:
            file.write("1")
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net"), "w") as file:
        file.write("1")
"""

RULES: tuple[TrainingRule, ...] = (
    TrainingRule(
        id="SD401",
        name="training-fails",
        level="error",
        sentence="The training was run, and failed.",
        cloud="The job is Failed: AlgorithmError, with the failure file and the exit code.",
        fix="Mend what the last line of the traceback names; `sagedock check --run` tries again.",
        failing=script('raise ValueError("the picture has 4 channels")'),
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#658", "aws/amazon-sagemaker-examples#1740",
                 "your-algorithms-training-signal-success-failure"),
        check=fails,
    ),
    TrainingRule(
        id="SD402",
        name="empty-model",
        level="error",
        sentence="The training ended well and left nothing in /opt/ml/model.",
        cloud="The job is Completed, and model.tar.gz is empty: the endpoint has nothing to load.",
        fix='Save below os.environ["SM_MODEL_DIR"].',
        failing='import os\nimport sys\n\nif __name__ == "__main__":\n'
        '    folder = os.environ["SM_MODEL_DIR"] + "-1"\n    os.makedirs(folder)\n'
        '    with open(os.path.join(folder, "net"), "w") as file:\n'
        "        file.write(str(sys.argv))\n",
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#3455", "aws/sagemaker-python-sdk#1895",
                 "aws/sagemaker-training-toolkit#82"),
        check=empty_model,
        skips=_went_well,
    ),
    TrainingRule(
        id="SD403",
        name="files-elsewhere",
        level="warning",
        sentence="Only /opt/ml/model, /opt/ml/output/data and checkpoints are kept.",
        cloud="The file is gone when the job ends, and no log says so.",
        fix="Write it below SM_OUTPUT_DATA_DIR, which becomes output.tar.gz.",
        failing=script('with open("history.csv", "w") as history:\n    history.write("1")'),
        passing=script(
            'name = os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "history.csv")\n'
            'with open(name, "w") as history:\n    history.write("1")'
        ),
        sources=("your-algorithms-training-algo-output", "aws/amazon-sagemaker-examples#3000",
                 "aws/amazon-sagemaker-examples#3478"),
        check=files_elsewhere,
        skips=_went_well,
    ),
    TrainingRule(
        id="SD404",
        name="failure-without-code",
        level="error",
        sentence="A job fails by its exit code; the failure file only says why.",
        cloud="The job is Completed: the service reads the failure file only when the exit code is "
        "not 0.",
        fix="End with sys.exit(1) after the failure file is written, or let the exception go on.",
        failing=script(
            'folder = os.path.dirname(os.environ["SM_OUTPUT_DATA_DIR"])\n'
            'with open(os.path.join(folder, "failure"), "w") as failure:\n'
            '    failure.write("no data")'
        ),
        passing=_PASSING,
        sources=("your-algorithms-training-signal-success-failure", "aws/sagemaker-containers#202"),
        check=failure_without_code,
        skips=_went_well,
    ),
    TrainingRule(
        id="SD405",
        name="silent-metric",
        level="error",
        sentence="A metric's regular expression matches a line that the training prints.",
        cloud="The metric has no value: FinalMetricDataList lacks it, and a tuning job fails.",
        fix="Change the expression, or the line; mind that logging.info prints nothing by itself.",
        failing=_PASSING.replace("loss=0.5", "loss: 0.5"),
        passing=_PASSING,
        sources=("aws/amazon-sagemaker-examples#703", "huggingface/notebooks#43",
                 "aws/sagemaker-python-sdk#5201"),
        check=silent_metric,
        skips=_went_well,
        options=("--run", "--job", "job.json"),
        files=_JOB,
    ),
    TrainingRule(
        id="SD406",
        name="ignored-stop",
        level="warning",
        sentence="A training that is stopped ends soon after SIGTERM.",
        cloud="It is killed 120 s after SIGTERM: what it has not saved is lost.",
        fix="In a SIGTERM handler save and end, or leave SIGTERM as it is.",
        failing=script(
            "import signal\nimport time\n\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
        ),
        passing=script("import time\n\ntime.sleep(600)"),
        sources=("your-algorithms-training-algo-dockerfile: SIGTERM, then SIGKILL after 120 s",),
        check=ignored_stop,
        skips=lambda run, target: ""
        if run.stop_seconds is not None
        else "the training ended before it was stopped: see --seconds",
        options=("--run", "--seconds", "4", "--grace", "2"),
    ),
    TrainingRule(
        id="SD407",
        name="same-files",
        level="warning",
        sentence="Files of several hosts in /opt/ml/model have names of their own.",
        cloud="One archive is made of all hosts' files: of two with one name one is lost.",
        fix='Save on the first host only: SM_CURRENT_HOST is the first of SM_HOSTS.',
        failing=script("").replace('write("1")', 'write(os.environ["SM_CURRENT_HOST"])'),
        passing=script("").replace('"net"', '"net-" + os.environ["SM_CURRENT_HOST"]'),
        sources=("your-algorithms-training-algo-output: names must not clash",
                 "aws/sagemaker-python-sdk#420"),
        check=same_files,
        skips=lambda run, target: _went_well(run, target)
        or ("" if len(run.hosts) > 1 else "needs --instance-count"),
        options=("--run", "--instance-count", "2"),
    ),
    TrainingRule(
        id="SD408",
        name="no-resume",
        level="warning",
        sentence="A training that finds its checkpoints goes on from them.",
        cloud="An interrupted spot job starts at the beginning again, and is paid for twice.",
        fix="At the start, load the newest file of /opt/ml/checkpoints where there is one.",
        failing=_CHECKPOINTS.replace("{first}", "0"),
        passing=_CHECKPOINTS.replace("{first}", "len(os.listdir(FOLDER))"),
        sources=("model-checkpoints.html", "aws/sagemaker-tensorflow-training-toolkit#346",
                 "deepset-ai/FARM#563"),
        check=no_resume,
        skips=_needs_resume,
        options=("--run", "--resume"),
    ),
    ContainerRule(
        id="SD409",
        name="script-for-no-toolkit",
        level="error",
        sentence="A script that is submitted to an image needs a toolkit there that fetches it.",
        cloud="The image's own program is run, and the job may well be Completed: with a model "
        "that the script has nothing to do with.",
        fix="Install AWS's toolkit in the image (`RUN pip install sagemaker-training`), or COPY "
        "the script into it, and leave entry_point away.",
        failing=_ALGORITHM,
        passing="FROM sagedock/python:3.11-cpu\n",
        sources=("aws/sagemaker-training-toolkit#65: entry_point is no ContainerEntrypoint",
                 "sagemaker-training-toolkit, README: what an image needs",
                 "sagemaker-training-toolkit entry_point.py: it is fetched to /opt/ml/code"),
        check=ignored_script,
        skips=lambda run, target: _needs_own_image(run, target)
        or ("the training failed: see SD401" if run.code else ""),
        options=("train.py", "--image", "my-algo", "--run"),
        files={"train.py": _PASSING},
    ),
    ContainerRule(
        id="SD410",
        name="late-lines",
        level="warning",
        sentence="What a training prints is in its log soon.",
        cloud="The log is empty until the job ends, and so are its metrics; of a job that is "
        "killed the last lines are lost.",
        fix="`ENV PYTHONUNBUFFERED=1` in the Dockerfile, or `print(…, flush=True)`.",
        failing=_SLOW_ALGORITHM,
        passing=_SLOW_ALGORITHM + "ENV PYTHONUNBUFFERED=1\n",
        sources=("aws/amazon-sagemaker-examples#319",
                 "docs.python.org, sys.stdout: block-buffered where it is no terminal"),
        check=late_lines,
        skips=_needs_own_image,
    ),
)  # fmt: skip
