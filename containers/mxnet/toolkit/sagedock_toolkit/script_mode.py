"""Script mode (MXNet 1.3 and later): the user's script as a program of its own.

Two ages: MXNet 1.3 to 1.4.0 ran `python -m module` wherever it happened to be, later images run
`python script.py` in /opt/ml/code. Sources: sagemaker-training-toolkit 3383937 (trainer.py,
entry_point.py, process.py, _entry_point_type.py), sagemaker-mxnet-training-toolkit 76bd6b7
(training.py), sagemaker-containers 2.2.5 for the early age.

Differences from AWS that are on purpose: ErrorMessage of output/failure is filled with what the
script said last; PYTHONPATH holds the code and its requirements, not the toolkit's whole path;
code that must not leave its folder does not.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence

from sagedock_toolkit import child, host_names, requirements, user_code
from sagedock_toolkit.contract import looks_legacy
from sagedock_toolkit.environment import Configuration
from sagedock_toolkit.errors import (
    CommandFailed,
    ExecuteUserScriptError,
    ToolkitError,
    UserCodeError,
    exit_code_of,
    write_failure,
)
from sagedock_toolkit.explanations import explain
from sagedock_toolkit.parameter_server import ParameterServer, default_port
from sagedock_toolkit.paths import Paths
from sagedock_toolkit.sm_variables import TrainingEnvironment, shell_line

log = logging.getLogger("sagemaker-training-toolkit")

_LEGACY_SCRIPT = """{rule}
* {name} defines train() and does not call it: it was written for MXNet before 1.3,
* whose container called train(). From 1.3 on (script mode) a script only runs from top to
* bottom: NOTHING IS TRAINED, the job is called Completed, and the model is empty.
* That happens in the cloud too. Either ask for framework_version 1.2.1, or call train()
* under `if __name__ == "__main__":` with arguments from argparse and SM_* variables.
{rule}"""

LOG_FORMAT = "%(asctime)s %(name)s %(levelname)-8s %(message)s"


def train(paths: Paths, is_early: bool) -> int:
    """Run the whole job; the exit code of this process: 0, 1, or the errno of an error of ours."""
    logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
    job = ScriptJob(paths, is_early)
    try:
        job.run()
    except CommandFailed as error:
        text = error.early_failure_text() if is_early else error.failure_text()
        log.error(text)
        job.write_failure(text)
        return 1
    except Exception as error:  # whatever went wrong is the failure file's business
        words = "framework error: " if is_early else "Framework Error: "
        trace = "" if isinstance(error, ToolkitError) else traceback.format_exc() + "\n"
        text = f"{words}\n{trace}{error}"
        log.error(text)
        job.write_failure(text)
        return exit_code_of(error)
    finally:
        job.parameter_server_off()
    write_failure(paths.success, "")
    return 0


class ScriptJob:
    """One training job, step by step."""

    def __init__(self, paths: Paths, is_early: bool) -> None:
        self.paths = paths
        self.is_early = is_early
        self._servers: ParameterServer | None = None

    def run(self) -> None:
        """From the configuration files to the end of the script; raises what goes wrong."""
        job = TrainingEnvironment(Configuration.read(self.paths), os.environ)
        logging.getLogger().setLevel(job.properties["log_level"])
        program = self._program(job)
        fetch_code(job.properties["module_dir"], self.paths)
        layer = self._install(program)
        variables = job.variables(self.is_early)
        os.environ.update(variables)
        requirements.put_on_path(os.environ, self.paths.code, layer)
        os.environ.update(PYTHONUNBUFFERED="1", SAGEDOCK_TOOLKIT_START="1")
        self._wait_for_hosts(job)
        self._parameter_server_on(job)
        _log_environment(variables)
        self._run_script(program, job.arguments())

    def write_failure(self, text: str) -> None:
        """A failure file of the script itself stays (training toolkit since 4.1.0)."""
        if self.is_early or not os.path.exists(self.paths.failure):
            write_failure(self.paths.failure, text)

    def parameter_server_off(self) -> None:
        if self._servers is not None:
            self._servers.stop()

    def _program(self, job: TrainingEnvironment) -> str:
        if job.framework.get("sagemaker_mpi_enabled"):
            raise ToolkitError(
                "This job asks for MPI (distribution={'mpi': {'enabled': True}}, Horovod), which "
                "sagedock does not have yet. MXNet's parameter server is there: "
                "distribution={'parameter_server': {'enabled': True}}."
            )
        if job.settings.get("sagemaker_s3_output"):
            log.warning("sagemaker_s3_output: intermediate output is not uploaded here.")
        if not job.program:
            raise UserCodeError(
                "No entry point: neither the hyperparameter sagemaker_program nor the variable "
                "SAGEMAKER_PROGRAM is set. The SageMaker SDK sets the first from entry_point."
            )
        return job.program

    def _install(self, program: str) -> str | None:
        if _kind(program, self.paths.code) == "package":
            return requirements.install_package(self.paths.code)
        is_python = program.endswith(".py")
        return requirements.install(self.paths.code) if is_python or self.is_early else None

    def _wait_for_hosts(self, job: TrainingEnvironment) -> None:
        hosts, current = job.properties["hosts"], job.properties["current_host"]
        if os.environ.get("SM_STUDIO_LOCAL_MODE", "").lower() != "true" and len(hosts) > 1:
            for host in hosts:
                host_names.address_of(host, current)

    def _parameter_server_on(self, job: TrainingEnvironment) -> None:
        """Only when asked for. The scheduler is on the first host of the list as it is."""
        if not job.framework.get("sagemaker_parameter_server_enabled"):
            return
        port = job.hyperparameters.get("_ps_port", default_port())
        verbosity = job.hyperparameters.get("_ps_verbose", "0")
        for name, value in (("_ps_port", port), ("_ps_verbose", verbosity)):
            if not isinstance(value, str):
                raise TypeError(
                    f"str expected, not {type(value).__name__}: script mode's toolkit puts the "
                    f"hyperparameter {name} into the environment as it is decoded, so only a "
                    f'string works there, such as "{value}" with its quotes.'
                )
        hosts = job.properties["hosts"]
        current = job.properties["current_host"]
        self._servers = ParameterServer(hosts, current, hosts[0], port, verbosity)
        self._servers.start()
        os.environ.update(self._servers.variables())

    def _run_script(self, program: str, arguments: Sequence[str]) -> None:
        command = self._command(program, arguments)
        folder = None if self.is_early else self.paths.code
        warning = _written_for_legacy(os.path.join(self.paths.code, program))
        _say(warning)
        log.info("Invoking script with the following command:\n\n%s\n", " ".join(command))
        code, said = child.run(command, cwd=folder)
        if code:
            raise ExecuteUserScriptError(command, code, last_words(said))
        _say(warning)

    def _command(self, program: str, arguments: Sequence[str]) -> list[str]:
        """The script's command line.

        The toolkit strips double quotes from both ends of the last word when it does not capture
        stderr, as MXNet's images do not.
        """
        kind = "package" if self.is_early else _kind(program, self.paths.code)
        if kind == "command":
            path = os.path.join(self.paths.code, program)
            if os.path.exists(path):
                os.chmod(path, 0o777)
            command = ["/bin/sh", "-c", shell_line(program, arguments)]
        elif kind == "package":
            command = [sys.executable, "-m", user_code.module_name(program), *arguments]
        else:
            command = [sys.executable, program, *arguments]
        if not self.is_early:
            command[-1] = command[-1].strip('"')
        return command


def fetch_code(source: str, paths: Paths) -> None:
    """Put the user's code into /opt/ml/code, unless something is there already."""
    if os.path.isdir(paths.code) and os.listdir(paths.code):
        return
    user_code.fetch(source, paths.code)


def last_words(said: str) -> str:
    """Of a script's output, what explains its end: the last traceback, else the last lines; and
    what more can be said about it."""
    start = said.rfind("Traceback (most recent call last)")
    lines = said.rstrip("\n").splitlines()[-5:] if start < 0 else said[start:].splitlines()
    hint = explain(said)
    return "\n".join([*lines, hint] if hint else lines)


def _kind(program: str, folder: str) -> str:
    """How an entry point runs, in the toolkit's order of tests."""
    if program.endswith(".sh"):
        return "command"
    if os.path.exists(os.path.join(folder, "setup.py")):
        return "package"
    return "script" if program.endswith(".py") else "command"


def _log_environment(variables: dict[str, str]) -> None:
    lines = "\n".join(f"{name}={variables[name]}" for name in sorted(variables))
    log.info("Environment variables:\n\n%s\n", lines)


def _written_for_legacy(path: str) -> str:
    """A warning when script mode would run this script without doing anything; else nothing."""
    if not looks_legacy(path):
        return ""
    return _LEGACY_SCRIPT.format(name=os.path.basename(path), rule="*" * 78)


def _say(warning: str) -> None:
    if warning:
        log.warning("\n%s", warning)
