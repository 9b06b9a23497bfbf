"""What a person is told of an image's build, from the output of either builder."""

from __future__ import annotations

from sagedock.backends.docker.build_steps import BuildKitSteps, ClassicSteps

BUILDKIT = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [1/3] FROM docker.io/library/python:3.11-slim-bookworm
#4 CACHED
#5 [2/3] RUN pip install   mxnet
#5 0.5 Collecting mxnet
#5 0.9   Downloading mxnet-1.9.1-py3-none-any.whl (49.1 MB)
#5 1.0   Downloading small-1.0-py3-none-any.whl (11 kB)
#5 DONE 12.3s
#6 [3/3] RUN echo bad && exit 3
#6 0.6 hello
#6 0.6 bad
#6 ERROR: executor failed running [/bin/sh -c echo bad && exit 3]: exit code: 3
------
 > [3/3] RUN echo bad && exit 3:
0.6 bad
------
ERROR: failed to solve: executor failed running: exit code: 3
"""


def test_buildkit_s_output_becomes_steps_downloads_and_seconds() -> None:
    told: list[str] = []
    steps = BuildKitSteps(told.append)

    for line in BUILDKIT.splitlines(keepends=True):
        steps.read(line)

    assert told == [
        "[2/3] RUN pip install mxnet",
        "    downloading mxnet-1.9.1-py3-none-any.whl (49.1 MB)",
        "    12.3 s: RUN pip install mxnet",
        "[3/3] RUN echo bad && exit 3",
    ]
    assert (steps.failed_step, steps.last_lines) == ("RUN echo bad && exit 3", ["hello", "bad"])


def test_an_error_outside_any_step_is_kept() -> None:
    steps = BuildKitSteps(print)
    steps.read("#3 [internal] load metadata for docker.io/nothing/here:1\n")
    steps.read("#3 ERROR: no such host\n")

    assert (steps.error, steps.failed_step, steps.last_lines) == ("no such host", "", [])


def test_the_classic_builder_s_events_become_the_same() -> None:
    told: list[str] = []
    steps = ClassicSteps(told.append)
    for text in (
        "Step 1/2 : FROM python:3.11-slim-bookworm",
        "\n",
        " ---> af4d81e89613\n",
        "Step 2/2 : RUN echo bad >&2 && exit 3",
        " ---> Running in 625a3e9193b6\n",
        "\x1b[91mbad\n\x1b[0m",
        "Removing intermediate container 625a3e9193b6\n",
    ):
        steps.read({"stream": text})
    steps.read({"error": "returned a non-zero code: 3", "errorDetail": {"code": 3}})

    assert told == ["[2/2] RUN echo bad >&2 && exit 3"]
    assert (steps.failed_step, steps.last_lines) == ("RUN echo bad >&2 && exit 3", ["bad"])
    assert steps.error == "returned a non-zero code: 3"


def test_a_long_instruction_is_cut() -> None:
    told: list[str] = []
    steps = BuildKitSteps(told.append)
    steps.read(f"#5 [2/3] RUN {'x' * 500}\n")
    steps.read("#5 0.5 something\n")

    assert len(told[0]) < 100
    assert told[0].endswith("…")
