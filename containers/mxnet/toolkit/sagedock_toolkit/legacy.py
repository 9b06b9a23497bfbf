"""Legacy training (MXNet 0.12 to 1.2): import the script, call `train`, then `save`.

Everything a script or a client can see is as in AWS's image: order of events, arguments, what is
saved and when, exit codes (two odd zeros among them), and the text of output/failure.
Sources: sagemaker-mxnet-training-toolkit 9c46128 train.py, with 1.2.1's changes of 09446b5;
sagemaker-container-support 1.1.3 environment.py, training.py, entry.py.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import traceback
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from sagedock_toolkit import interpreter_start, mxnet_hooks, user_code
from sagedock_toolkit.contract import ARGUMENTS, looks_legacy
from sagedock_toolkit.environment import (
    Configuration,
    decode_strictly,
    log_level,
    num_cpus,
    num_gpus,
)
from sagedock_toolkit.errors import UserCodeError, write_failure
from sagedock_toolkit.explanations import explain
from sagedock_toolkit.module_save import save_module
from sagedock_toolkit.parameter_server import ParameterServer, default_port
from sagedock_toolkit.paths import Paths

log = logging.getLogger("mxnet_container.train")

LOG_FORMAT = "%(asctime)s %(levelname)s - %(name)s - %(message)s"


def train(paths: Paths) -> NoReturn:
    """Run the whole job and end this process as AWS's library does, through `os._exit`."""
    code: object = 0
    job = LegacyJob(paths)
    try:
        job.run()
        write_failure(paths.success, "")
    except Exception as error:  # whatever user code raises becomes the failure file
        code = _failed(paths, error)
    except BaseException as error:  # sys.exit and KeyboardInterrupt: the library misses both
        log.warning(
            "The script ended with %r. AWS's legacy container does not notice that: it leaves with "
            "exit code 0, and the job is called Completed whatever the script meant.",
            error,
        )
    job.parameter_server_off()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status(code))


def _status(code: object) -> int:
    """What `os._exit(code)` makes of it in AWS's library, where None or text raise TypeError inside
    a `finally`, which is logged and forgotten: 0."""
    if isinstance(code, int):
        return code & 0xFF
    log.warning(
        "The error's errno is %r. AWS's legacy container leaves with exit code 0 then, and the job "
        "is called Completed although the script failed.",
        code,
    )
    return 0


def _failed(paths: Paths, error: Exception) -> object:
    """Write output/failure, log the same, and tell the exit code: errno where there is one."""
    trace = "".join(traceback.format_exception(type(error), error, _from_user_code(error)))
    text = f"uncaught exception during training: {error}\n{trace}\n"
    hint = explain(trace)
    log.error(text)
    if hint:
        log.error(hint)
    write_failure(paths.failure, text + (hint + "\n" if hint else ""), mode="a")
    return getattr(error, "errno", 1)


def _from_user_code(error: BaseException) -> TracebackType | None:
    """The traceback without the frames above the user's, which say nothing to the user and use up
    the 1024 characters of FailureReason; whole where no frame is the user's."""
    ours = os.path.dirname(os.path.abspath(__file__))
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not (name.startswith((ours, "<frozen importlib")) or name == importlib.__file__):
            return trace
        trace = trace.tb_next
    return error.__traceback__


class LegacyJob:
    """One training job, step by step."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self._servers: ParameterServer | None = None

    def run(self) -> None:
        """Everything between configured logging and the success file; raises what goes wrong."""
        logging.basicConfig(format=LOG_FORMAT, level=logging.INFO)
        configuration = Configuration.read(self.paths)
        set_log_level(configuration)
        hyperparameters = decode_strictly(configuration.hyperparameters)
        arguments = training_arguments(configuration, hyperparameters)
        _export(hyperparameters, configuration)
        self._parameter_server_on(arguments)
        log.info("MXNetTrainingEnvironment: %s", self._described(hyperparameters, arguments))
        module = self._user_module(hyperparameters)
        model = module.train(**wanted_by(module.train, arguments))
        if model:
            save(module, model, arguments)

    def parameter_server_off(self) -> None:
        if self._servers is not None:
            self._servers.stop()

    def _parameter_server_on(self, arguments: dict[str, Any]) -> None:
        """Set the DMLC_* variables and start the processes that go with them.

        AWS's image always starts them. On one host they only matter to a `dist_*` store, so there
        they start when the script makes one: two imports of MXNet less in all other jobs.
        """
        hyperparameters, hosts = arguments["hyperparameters"], arguments["hosts"]
        self._servers = ParameterServer(
            hosts,
            arguments["current_host"],
            scheduler_host=sorted(hosts)[0],
            port=str(int(hyperparameters.get("_ps_port", default_port()))),
            verbosity=str(int(hyperparameters.get("_ps_verbose", 0))),
        )
        if len(hosts) > 1:
            self._servers.start()
        else:
            mxnet_hooks.before_distributed_store(self._servers.start)
        os.environ.update(self._servers.variables())
        interpreter_start.install()

    def _user_module(self, hyperparameters: dict[str, Any]) -> ModuleType:
        program = hyperparameters.get("sagemaker_program")
        if not program:
            raise UserCodeError(
                "The hyperparameter sagemaker_program is missing: it names the script to run, and "
                "the SageMaker SDK sets it from entry_point."
            )
        archive = hyperparameters.get("sagemaker_submit_directory") or ""
        if archive.startswith("s3://") or (archive and not _has_files(self.paths.code)):
            user_code.fetch(archive, self.paths.code)
        _warn(program, self.paths.code)
        return user_code.import_program(program, self.paths.code)

    def _described(self, hyperparameters: dict[str, Any], arguments: dict[str, Any]) -> str:
        described = {
            **{name: arguments[name] for name in ARGUMENTS if not name.startswith("num_")},
            "available_cpus": arguments["num_cpus"],
            "available_gpus": arguments["num_gpus"],
            "base_dir": self.paths.base,
            "code_dir": self.paths.code,
            "user_script_name": hyperparameters.get("sagemaker_program"),
            "user_script_archive": hyperparameters.get("sagemaker_submit_directory"),
            "job_name": hyperparameters.get("sagemaker_job_name"),
            "sagemaker_region": hyperparameters.get("sagemaker_region"),
            "_scheduler_host": sorted(arguments["hosts"])[0],
            "_scheduler_ip": self._servers.scheduler_address if self._servers else None,
            "_ps_port": int(os.environ["DMLC_PS_ROOT_PORT"]),
            "_ps_verbose": int(os.environ["PS_VERBOSE"]),
        }
        return repr(described)


def set_log_level(configuration: Configuration) -> None:
    """The root logger writes to stderr, so scripts of this generation log without any set-up."""
    level = log_level(configuration.setting("sagemaker_container_log_level"))
    logging.getLogger().setLevel(level)
    if level >= logging.INFO:
        logging.getLogger("boto3").setLevel(logging.WARNING)


def training_arguments(
    configuration: Configuration, hyperparameters: dict[str, Any]
) -> dict[str, Any]:
    """The nine arguments that `train` may take.

    `output_data_dir` ends in a slash on one host and in the host's name, not created, on several;
    a channel's folder may be narrowed by the hyperparameter `sagemaker_s3_uri_<channel>`.
    """
    paths = configuration.paths
    is_distributed = len(configuration.hosts) > 1
    folder = configuration.current_host if is_distributed else ""
    return {
        "hyperparameters": dict(hyperparameters),
        "input_data_config": dict(configuration.input_data_config),
        "channel_input_dirs": {
            name: _channel_folder(paths, name, hyperparameters)
            for name in configuration.input_data_config
        },
        "output_data_dir": os.path.join(paths.output_data, folder),
        "model_dir": paths.model,
        "num_gpus": num_gpus(),
        "num_cpus": num_cpus(),
        "hosts": configuration.hosts,
        "current_host": configuration.current_host,
    }


def _channel_folder(paths: Paths, channel: str, hyperparameters: dict[str, Any]) -> str:
    suffix = hyperparameters.get("sagemaker_s3_uri_" + channel)
    narrowed = os.path.join(paths.channel(channel), suffix) if suffix else ""
    return narrowed if narrowed and os.path.exists(narrowed) else paths.channel(channel)


def wanted_by(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that `function` is called with: all of them if it takes `**kwargs`, else those
    it names. A parameter of another name must have a default, or the call is a TypeError.

    The original's `getargspec` refuses keyword-only parameters and annotations and is gone from
    Python 3.11; here keyword-only names count like the others.
    """
    spec = inspect.getfullargspec(function)
    if spec.varkw is not None:
        return arguments
    names = {*spec.args, *spec.kwonlyargs}
    return {name: value for name, value in arguments.items() if name in names}


def save(module: ModuleType, model: Any, arguments: dict[str, Any]) -> None:
    """The script's own `save(model, model_dir)` on every host, else the format of the default
    handlers, on the scheduler host alone. Only a Module has what that needs."""
    if hasattr(module, "save"):
        module.save(model, arguments["model_dir"])
        return
    if arguments["current_host"] != sorted(arguments["hosts"])[0]:
        return
    try:
        save_module(model, arguments["model_dir"])
    except AttributeError as error:
        raise AttributeError(
            f"{error}. `train` returned a {type(model).__name__} and the script has no "
            "save(model, model_dir): the default save knows mx.mod.Module only, not Gluon."
        ) from error


def _export(hyperparameters: dict[str, Any], configuration: Configuration) -> None:
    """Variables that the container library sets; without sagemaker_region it fails, as we do."""
    if "sagemaker_region" not in hyperparameters:
        log.error(
            "The hyperparameter sagemaker_region is missing. The legacy container cannot start "
            'without it; the SageMaker SDK sets it. Without the SDK give it as "\\"us-east-1\\"".'
        )
    os.environ["SAGEMAKER_REGION"] = str(hyperparameters["sagemaker_region"])
    os.environ["JOB_NAME"] = str(hyperparameters.get("sagemaker_job_name") or "")
    os.environ["CURRENT_HOST"] = configuration.current_host


def _has_files(folder: str) -> bool:
    return os.path.isdir(folder) and bool(os.listdir(folder))


def _warn(program: str, folder: str) -> None:
    """Say beforehand what the cloud would let the user find out."""
    path = os.path.join(folder, user_code.module_name(program) + ".py")
    if not os.path.exists(path) and not os.path.isdir(path[: -len(".py")]):
        there = ", ".join(sorted(os.listdir(folder))[:20]) if os.path.isdir(folder) else ""
        log.error("The source archive has no %s at its root. It has: %s", program, there)
    elif looks_legacy(path) is False:
        log.warning(
            "%s looks like a script-mode script (a main guard or top-level code, SM_* variables), "
            "but this image's version is older than 1.3: it is imported, and its function train() "
            "is called, without arguments on the command line. Ask for framework_version 1.3 or "
            "later for script mode.",
            program,
        )
    if os.path.exists(os.path.join(folder, "requirements.txt")):
        log.warning("requirements.txt is not installed: training does that from MXNet 1.3 on.")
