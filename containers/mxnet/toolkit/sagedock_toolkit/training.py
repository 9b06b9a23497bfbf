"""`train`: choose the contract that the asked-for framework version has, and run the job by it."""

from __future__ import annotations

import os
import platform
import sys

from sagedock_toolkit import legacy, script_mode
from sagedock_toolkit.contract import Contract, looks_legacy
from sagedock_toolkit.environment import Configuration, framework_version
from sagedock_toolkit.errors import ToolkitError
from sagedock_toolkit.explanations import asked_for_python_2
from sagedock_toolkit.paths import Paths


def main() -> None:
    """Run the training job of this container's /opt/ml tree; ends the process."""
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # for processes that the script starts
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(line_buffering=True)
    if asked_for_python_2():
        tell(
            "A Python 2 image was asked for, and there is Python 3 only: the script runs on "
            f"{platform.python_version()} as it is. What only Python 2 takes (print statements, "
            "integer division with /) fails here."
        )
    paths = Paths.read()
    version = framework_version()
    contract = Contract.of_version(version) if version else contract_by_script(paths)
    if contract is Contract.LEGACY:
        legacy.train(paths)
    sys.exit(script_mode.train(paths, is_early=contract is Contract.EARLY_SCRIPT))


def contract_by_script(paths: Paths) -> Contract:
    """For an image whose version nobody knows: what the user's script was written for."""
    try:
        configuration = Configuration.read(paths)
        program = str(configuration.setting("sagemaker_program", ""))
        script_mode.fetch_code(
            str(configuration.setting("sagemaker_submit_directory", paths.code)), paths
        )
    except (OSError, ValueError, ToolkitError) as error:
        # Script mode reads the same again, and tells it as its contract says.
        tell(f"The script cannot be read yet: {error}")
        return Contract.SCRIPT
    is_legacy = looks_legacy(os.path.join(paths.code, program))
    chosen = Contract.LEGACY if is_legacy else Contract.SCRIPT
    tell(f"No framework version is known; by its script this job is {chosen.value}.")
    return chosen


def tell(sentence: str) -> None:
    """One line to the log, before logging is configured."""
    sys.stderr.write(f"sagedock: {sentence}\n")
    sys.stderr.flush()
