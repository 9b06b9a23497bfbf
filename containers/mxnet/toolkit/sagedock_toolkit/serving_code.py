"""Puts the user's code where its generation expects it, and installs its requirements."""

from __future__ import annotations

import os
from typing import Mapping

from sagedock_toolkit import user_code
from sagedock_toolkit.generations import Generation
from sagedock_toolkit.paths import Paths


def prepare(generation: Generation, paths: Paths, environ: Mapping[str, str]) -> None:
    """Before any worker starts. Raises ToolkitError."""
    if generation is not Generation.MODERN:
        _fetch(paths, environ)


def _fetch(paths: Paths, environ: Mapping[str, str]) -> None:
    """The two older generations download their own archive, unless the program is there already."""
    program = environ.get("SAGEMAKER_PROGRAM")
    archive = environ.get("SAGEMAKER_SUBMIT_DIRECTORY")
    if program and archive and not os.path.exists(os.path.join(paths.code, program)):
        user_code.fetch(archive, paths.code)


def place(generation: Generation, paths: Paths, environ: Mapping[str, str]) -> str:
    """The path of the script that is served, for the log."""
    if generation is Generation.MODERN:
        program = environ.get("SAGEMAKER_PROGRAM") or "inference.py"
        return os.path.join(paths.model, "code", program)
    return os.path.join(paths.code, environ.get("SAGEMAKER_PROGRAM") or "(none named)")
