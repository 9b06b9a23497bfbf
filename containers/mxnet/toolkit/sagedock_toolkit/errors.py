"""The user's fault, our fault, and how each is told.

::

    ToolkitError                       something we raise on purpose; its text is for the user
    ├── UserCodeError                  the user's archive, entry point or file is at fault
    └── CommandFailed                  a command that we ran for the user ended badly
        ├── ExecuteUserScriptError     … the entry point
        ├── InstallRequirementsError   … pip install -r requirements.txt
        └── InstallModuleError         … pip install of the user's package

The names and the layout of `CommandFailed.failure_text` are those of AWS's training toolkit
(sagemaker-training-toolkit, errors.py and trainer.py), because people search for them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

REASON_LIMIT = 1024
"""Characters of output/failure that the service shows as FailureReason."""

_SERVICE_WORDS = len("AlgorithmError: ") + len(", exit code: 255")


class ToolkitError(Exception):
    """Something we raise on purpose; the text says what is wrong and what to do about it."""


class UserCodeError(ToolkitError):
    """The user's archive, entry point or file cannot be used; the text names it."""


class CommandFailed(ToolkitError):
    """A command that we ran for the user did not end with exit code 0.

    `said` is what it printed last. AWS's MXNet images leave ErrorMessage empty (they do not
    capture output); we fill it, as other images of theirs do, since it is what the user wants to
    know. A deliberate difference.
    """

    def __init__(self, command: Sequence[str], exit_code: int, said: str = "") -> None:
        self.command = " ".join(command)
        self.exit_code = exit_code
        self.said = said
        super().__init__(f"{self.command!r} ended with exit code {exit_code}")

    def early_failure_text(self) -> str:
        """The text of output/failure in the images of MXNet 1.3 (sagemaker-containers 2.2.5)."""
        return f'{type(self).__name__}:\nCommand "{self.command}"\n{self.said}'

    def failure_text(self) -> str:
        """The text of output/failure, cut so that command and message both fit FailureReason."""
        head = f"{type(self).__name__}:\nExitCode {self.exit_code}\n"
        extra = ""
        if self.exit_code in (137, -9):
            extra = 'ExtraInfo "OutOfMemory: Process killed by SIGKILL (signal 9)"\n'
        command = f'Command "{self.command}"'
        frame = len(head) + len(extra) + len('ErrorMessage ""\n') + min(len(command), 300)
        room = REASON_LIMIT - _SERVICE_WORDS - frame
        message = f'ErrorMessage "{last_lines(self.said, room)}"\n'
        return head + message + extra + command


class ExecuteUserScriptError(CommandFailed):
    """The user's entry point ended with another exit code than 0."""


class InstallRequirementsError(CommandFailed):
    """requirements.txt could not be installed."""


class InstallModuleError(CommandFailed):
    """The user's package (setup.py) could not be installed."""


def last_lines(text: str, limit: int) -> str:
    """The last whole lines of `text` within `limit` characters; of one longer line, its end."""
    text = text.strip("\n")
    if len(text) <= limit:
        return text
    cut = text[len(text) - limit :]
    newline = cut.find("\n")
    return cut if newline < 0 else cut[newline + 1 :]


def exit_code_of(error: BaseException) -> int:
    """`errno` of an error where it has one, else 1; never 0.

    Script mode's rule for errors of the framework itself (trainer.py of the training toolkit).
    """
    number = getattr(error, "errno", None)
    return number if isinstance(number, int) and 0 < number < 256 else 1


def write_failure(path: str, text: str, mode: str = "w") -> None:
    """Write output/failure (`mode` "a" adds to it, as the legacy generation does)."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


class UnsupportedContentTypeError(Exception):
    """415 of the legacy server; user code raises it too, as container_support.serving's.

    These three pass text *and* argument on, so that `str()` is the text of a pair
    (container support 1.1.3, serving.py); the legacy server's error body shows it so.
    """

    def __init__(self, content_type: object) -> None:
        super().__init__(f"Requested unsupported ContentType: {content_type}", content_type)


class UnsupportedAcceptTypeError(Exception):
    """406 of the legacy server."""

    def __init__(self, accept: object) -> None:
        super().__init__(f"Requested unsupported ContentType in Accept: {accept}", accept)


class UnsupportedInputShapeError(Exception):
    """412 of the legacy server: the model has one input and the request brought several."""

    def __init__(self, inputs: object) -> None:
        super().__init__(f"Model can have only 1 input data, but it has: {inputs}", inputs)
