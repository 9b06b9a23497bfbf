"""Rules on a container image: would the service start it, and does it get what it is sent?

Nothing of the image is run. Examples are Dockerfiles.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sagedock.backends.docker.image_contents import ImageContents, ProblemKind, wrapped
from sagedock.backends.gpu_rules import can_use
from sagedock.backends.gpus import Gpu
from sagedock.check.findings import Level
from sagedock.check.rules.rule import Rule, always
from sagedock.check.subjects.hit import Hit, Hits
from sagedock.check.target import Target
from sagedock.domain.instances import InstanceType

_GRAVITON = re.compile(r"ml\.([a-z]+\d+g[a-z]*|p6e-gb\d+)\..+")
"""The `g` behind a generation's number is AWS's own processor, arm64 (EC2 User Guide, "Amazon EC2
instance type naming conventions"); GB is NVIDIA's Grace, arm64 too (page of P6e UltraServers)."""

_CAPABILITIES = {
    "K80": (3, 7),
    "V100": (7, 0),
    "T4": (7, 5),
    "A100": (8, 0),
    "A10G": (8, 6),
    "L4": (8, 9),
    "L40S": (8, 9),
    "H100": (9, 0),
    "H200": (9, 0),
    "B200": (10, 0),
    "GB200": (10, 0),
}
"""Compute capability of the GPUs of instance types (developer.nvidia.com/cuda-gpus)."""

_TRAINING = "your-algorithms-training-algo-dockerfile"
_INFERENCE = "your-algorithms-inference-code"


@dataclass(frozen=True)
class ImageRule(Rule[ImageContents]):
    """Looks at an image. A first line `# docker build …` of an example says how it is built."""

    skips: Callable[[ImageContents, Target], str] = always
    example: Target = field(default_factory=Target)

    kind = "image"
    language = "dockerfile"


def wanted_architecture(target: Target) -> str:
    """Of the instances that the image is for: amd64 where none is named, as nearly all are."""
    is_arm = target.instance_type is not None and _GRAVITON.fullmatch(target.instance_type)
    return "arm64" if is_arm else "amd64"


def wrong_architecture(image: ImageContents, target: Target) -> Hits:
    if not image.architecture:
        return
    wanted, where = wanted_architecture(target), target.instance_type
    if image.architecture != wanted:
        told = f"{where} is {wanted}" if where else f"instances are {wanted}, but for Graviton's"
        yield _hit(image, f"the image is for {image.architecture}: {told}")
    elif image.architecture != image.machine:
        told = f"this engine's machine is {image.machine}, and cannot run it"
        yield _hit(image, f"the image is for {image.architecture}: {told}", "advice")


def _right_architecture(image: ImageContents, target: Target) -> str:
    is_right = not image.architecture or image.architecture == wanted_architecture(target)
    return "" if is_right else f"the image is for {image.architecture}: see SD701"


def no_program(image: ImageContents, target: Target) -> Hits:
    lacking = [name for name, one in image.programs.items() if one and one.kind == "missing"]
    if image.starts_by_name:
        if len(lacking) == len(image.programs):
            told = "the image has neither `train` nor `serve` on its PATH"
            told += ", and no ENTRYPOINT" if not image.entrypoint else ""
            if image.command:
                shown = " ".join(image.command)
                told += f"; its CMD ({shown:.60}) is not run, for `train` or `serve` replaces it"
            yield _hit(image, told)
        return
    for name in lacking:
        yield _hit(image, f"the ENTRYPOINT names {name}, which the image does not have")


def not_executable(image: ImageContents, target: Target) -> Hits:
    yield from _of(image, "mode", "the file is not executable")


def no_first_line(image: ImageContents, target: Target) -> Hits:
    told = "it is no program for Linux, and has no first line `#!` that names an interpreter"
    yield from _of(image, "format", told)


def windows_line_end(image: ImageContents, target: Target) -> Hits:
    yield from _of(image, "line-end", "its first line ends in a Windows line end (CRLF)")


def missing_interpreter(image: ImageContents, target: Target) -> Hits:
    told = "its first line names {}, which the image does not have"
    yield from _of(image, "interpreter", told)


def other_machine(image: ImageContents, target: Target) -> Hits:
    told = f"it is a program for {{}}, in an image for {image.architecture}"
    yield from _of(image, "machine", told)


def _of(image: ImageContents, kind: ProblemKind, told: str) -> Hits:
    for problem in image.programs.values():
        if problem is not None and problem.kind == kind:
            yield Hit(problem.path, 1, 1, told.format(problem.detail))


def tini(image: ImageContents, target: Target) -> Hits:
    if image.entrypoint and posixpath.basename(image.entrypoint[0]) == "tini":
        shown = " ".join(image.entrypoint)
        yield _hit(image, f"the ENTRYPOINT is `{shown:.60}`")


def shell_form(image: ImageContents, target: Target) -> Hits:
    """A shell that hands its process over (`exec …`) is out of the way of signals."""
    if image.is_shell_form and not image.entrypoint[2].lstrip().startswith("exec "):
        shown = image.entrypoint[2]
        yield _hit(image, f"`{shown:.60}` of the ENTRYPOINT is run by {image.entrypoint[0]}")


def bare_interpreter(image: ImageContents, target: Target) -> Hits:
    entry = wrapped(image.entrypoint)
    if not entry or not posixpath.basename(entry[0]).startswith("python"):
        return
    if not all(word.startswith("-") for word in entry[1:]) or {"-c", "-m"} & set(entry[1:]):
        return
    if image.in_workdir:
        return
    shown = " ".join(entry)
    told = f"the container runs `{shown} train`: no script of that name is in {image.workdir}"
    if image.command:
        told += f", and the CMD ({' '.join(image.command):.60}) is replaced"
    yield _hit(image, told)


def other_user(image: ImageContents, target: Target) -> Hits:
    if image.user.partition(":")[0] not in ("", "0", "root"):
        yield _hit(image, f"the image runs as {image.user}")


def other_port(image: ImageContents, target: Target) -> Hits:
    serves = not image.starts_by_name or image.has("serve")
    if serves and image.ports and "8080/tcp" not in image.ports:
        yield _hit(image, f"the image exposes {', '.join(image.ports)}, and not 8080")


def gpu_code(image: ImageContents, target: Target) -> Hits:
    """For the instance type's GPU; where none is named, those of this machine are advised of."""
    gpus, where = image.gpus, "this machine"
    if target.instance_type is not None:
        gpus, where = _gpus_of(target.instance_type), target.instance_type
    if gpus and not can_use(gpus, image.gpu_architectures):
        has = " ".join(image.gpu_architectures)
        told = f"the image has GPU code for {has}, and the {gpus[0].name} of {where} needs"
        level: Level = "error" if target.instance_type is not None else "advice"
        yield _hit(image, f"{told} {gpus[0].architecture}", level)


def _gpus_of(instance_type: str) -> tuple[Gpu, ...]:
    name = InstanceType.parse(instance_type).gpu_name
    if name is None or name not in _CAPABILITIES:
        return ()
    return (Gpu(0, "", name, _CAPABILITIES[name], None),)


def _knows_gpu(image: ImageContents, target: Target) -> str:
    if not image.gpu_architectures:
        return "the image does not say which GPU code it holds (label sagedock.gpu.architectures)"
    if target.instance_type is None:
        return "" if image.gpus else "needs --instance-type"
    if _gpus_of(target.instance_type):
        return ""
    return f"{target.instance_type} has no GPU whose code is known here"


def _hit(image: ImageContents, told: str, level: Level | None = None) -> Hit:
    return Hit(image.name, 1, 1, told, level)


_BASE = "FROM python:3.11-slim-bookworm\n"
_TRAIN = (
    "RUN printf '#!/usr/bin/env python3\\nprint(\"trained\")\\n' > /usr/local/bin/train \\\n"
    " && chmod +x /usr/local/bin/train\n"
)
_SERVE = _TRAIN.replace("/train", "/serve").replace("trained", "ready")
_GOOD = _BASE + _TRAIN
_SCRIPT = "RUN mkdir /opt/program && echo 'print(\"trained\")' > /opt/program/main.py\n"
_EXEC_FORM = _BASE + _SCRIPT + 'ENTRYPOINT ["python3", "/opt/program/main.py"]\n'
_ELF = "\\177ELF\\002\\001\\001" + "\\000" * 9 + "\\002\\000"
_NOT_FOUND = (
    "aws/amazon-sagemaker-examples#628",
    "aws/amazon-sagemaker-examples#744",
    "aws/sagemaker-python-sdk#222",
)

RULES: tuple[ImageRule, ...] = (
    ImageRule(
        id="SD701",
        name="wrong-architecture",
        level="error",
        sentence="The image is for the processors of the instances that run it.",
        cloud="exec format error: the job is Failed, the endpoint never healthy.",
        fix="Build it for them: `docker build --platform linux/amd64 …` (linux/arm64 for Graviton: "
        "ml.c7g.large, say).",
        failing="# docker build --platform linux/arm64 -t my-algo .\nFROM scratch\n"
        'ENTRYPOINT ["/train"]\n',
        passing="# docker build --platform linux/amd64 -t my-algo .\n" + _GOOD,
        sources=("aws-samples/sagemaker-studio-custom-image-samples#25 and #28",
                 "aws/sagemaker-python-sdk#3679: an amd64 image on ml.c7g.xlarge",
                 "DIAGNijmegen/rse-grand-challenge#3132"),
        check=wrong_architecture,
    ),
    ImageRule(
        id="SD702",
        name="no-program",
        level="error",
        sentence="The image has `train` or `serve` on its PATH, or an ENTRYPOINT that is there.",
        cloud='exec: "train": executable file not found in $PATH; or: stat …: no such file.',
        fix="COPY the program to /usr/local/bin/train (or serve) and make it executable; or name "
        "it: `ENTRYPOINT [\"python3\", \"/opt/program/main.py\"]`.",
        failing=_BASE + _SCRIPT + 'CMD ["python3", "/opt/program/main.py"]\n',
        passing=_EXEC_FORM,
        sources=(*_NOT_FOUND, "shashankprasanna/torchserve-examples#8: a CMD is not run",
                 f"{_TRAINING}, {_INFERENCE}: the argument replaces CMD"),
        check=no_program,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD703",
        name="not-executable",
        level="error",
        sentence="`train`, `serve` and the ENTRYPOINT's program are executable.",
        cloud='exec: "train": permission denied; or: executable file not found in $PATH.',
        fix="Add `RUN chmod +x` for the file to the Dockerfile.",
        failing=_GOOD.replace("chmod +x", "chmod -x"),
        passing=_GOOD,
        sources=("aws/amazon-sagemaker-examples#628: mended by chmod +x",
                 "aws/amazon-sagemaker-examples#744"),
        check=not_executable,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD704",
        name="no-first-line",
        level="error",
        sentence="A script that is started as a program names its interpreter.",
        cloud="exec format error, and exit code 1.",
        fix="Begin it with `#!/usr/bin/env python3` (or bash, …).",
        failing=_GOOD.replace("#!/usr/bin/env python3\\n", ""),
        passing=_GOOD,
        sources=("execve(2), ENOEXEC",
                 "engines 20.10 and 26.1: the log says exec format error, and exit code 1"),
        check=no_first_line,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD705",
        name="windows-line-end",
        level="error",
        sentence="The first line of a script ends in LF.",
        cloud="/usr/bin/env: 'python\\r': No such file or directory, and exit code 127.",
        fix="Save it with LF: `sed -i 's/\\r$//' train`, and `* text eol=lf` in .gitattributes.",
        failing=_GOOD.replace("python3\\n", "python3\\r\\n"),
        passing=_GOOD,
        sources=("aws/amazon-sagemaker-examples#571", "aws/amazon-sagemaker-examples#969",
                 "aws/amazon-sagemaker-examples#1589"),
        check=windows_line_end,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD706",
        name="missing-interpreter",
        level="error",
        sentence="The image has the interpreter that a script names.",
        cloud="exec train: no such file or directory, though the file is there.",
        fix="Name the interpreter that is there, best by `#!/usr/bin/env`, or install it.",
        failing=_GOOD.replace("/usr/bin/env python3", "/opt/conda/bin/python"),
        passing=_GOOD,
        sources=("execve(2), ENOENT: the interpreter does not exist",),
        check=missing_interpreter,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD707",
        name="other-machine",
        level="error",
        sentence="A compiled program is for the same processors as its image.",
        cloud="exec format error: the job is Failed, the endpoint never healthy.",
        fix="Compile it in the image, or for the image's architecture.",
        failing=_GOOD.replace('#!/usr/bin/env python3\\nprint("trained")\\n', _ELF + "\\267\\000"),
        passing=_GOOD,
        sources=("execve(2), ENOEXEC", "aws-samples/sagemaker-studio-custom-image-samples#28"),
        check=other_machine,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD708",
        name="tini",
        level="warning",
        sentence="The entry point is not tini.",
        cloud="[FATAL tini (7)] exec train failed: AWS says that tini is confused by the arguments "
        "`train` and `serve`, and cannot be used.",
        fix="Name the program itself: `ENTRYPOINT [\"python3\", \"/opt/program/main.py\"]`.",
        failing=_BASE + _SCRIPT
        + "RUN cp /bin/true /usr/bin/tini\n"
        'ENTRYPOINT ["tini", "--", "python3", "/opt/program/main.py"]\n',
        passing=_EXEC_FORM,
        sources=(f"{_TRAINING}, {_INFERENCE}: \"You can't use the tini initializer\"",
                 "aws/sagemaker-python-sdk#4113"),
        check=tini,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD709",
        name="shell-form",
        level="warning",
        sentence="The ENTRYPOINT is in exec form: a list in brackets.",
        cloud="The program is a child of /bin/sh: SIGTERM may not reach it, and it is killed (120 "
        "s after a stop, 30 s when an endpoint shrinks). The argument `train` or `serve` is lost.",
        fix='`ENTRYPOINT ["python3", "/opt/program/main.py"]`.',
        failing=_BASE + _SCRIPT + "ENTRYPOINT python3 /opt/program/main.py\n",
        passing=_EXEC_FORM,
        sources=(f"{_TRAINING}, {_INFERENCE}: the exec form, for signals",
                 "aws/deep-learning-containers#632"),
        check=shell_form,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD710",
        name="other-user",
        level="warning",
        sentence="The image runs as root.",
        cloud='AWS: "SageMaker AI expects all containers to run with root users"; others may meet '
        "permission denied below /opt/ml.",
        fix="End the Dockerfile with `USER root`, or leave USER away.",
        failing=_GOOD + "USER 1000\n",
        passing=_GOOD + "USER root\n",
        sources=(f"{_INFERENCE}: root users", "aws/sagemaker-inference-toolkit#72",
                 "aws/sagemaker-python-sdk#4764"),
        check=other_user,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD711",
        name="bare-interpreter",
        level="error",
        sentence="An ENTRYPOINT that is an interpreter names its script.",
        cloud="python3: can't open file '/train': No such file or directory, and exit code 2.",
        fix="Put the script into the ENTRYPOINT: a CMD is replaced by `train` or `serve`.",
        failing=_BASE + _SCRIPT + 'ENTRYPOINT ["python3"]\nCMD ["/opt/program/main.py"]\n',
        passing=_EXEC_FORM,
        sources=(f"{_TRAINING}: `docker run image train`, which overrides CMD",
                 "aws/sagemaker-training-toolkit#65"),
        check=bare_interpreter,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD712",
        name="other-port",
        level="advice",
        sentence="A server listens on port 8080.",
        cloud="EXPOSE itself changes nothing; a server that listens there is never healthy: "
        "did not pass the ping health check.",
        fix="Listen on 8080, and `EXPOSE 8080`.",
        failing=_BASE + _SERVE + "EXPOSE 5000\n",
        passing=_BASE + _SERVE + "EXPOSE 8080\n",
        sources=(f"{_INFERENCE}: a web server on port 8080",),
        check=other_port,
        skips=_right_architecture,
    ),
    ImageRule(
        id="SD713",
        name="gpu-code",
        level="error",
        sentence="The image has code for the GPU of the instance type.",
        cloud="CUDA error: no kernel image is available for execution on the device.",
        fix="Take an instance type whose GPU it has code for, or an image built for this one.",
        failing=_GOOD + 'LABEL sagedock.gpu.architectures="sm_75 sm_80"\n',
        passing=_GOOD + 'LABEL sagedock.gpu.architectures="sm_70 sm_75 sm_80"\n',
        sources=("CUDA C++ Programming Guide, Binary Compatibility and PTX Compatibility",
                 "developer.nvidia.com/cuda-gpus", "awslabs/multi-model-server#998"),
        check=gpu_code,
        skips=lambda image, target: _right_architecture(image, target)
        or _knows_gpu(image, target),
        example=Target(instance_type="ml.p3.2xlarge"),
    ),
)  # fmt: skip
"""All of images."""
