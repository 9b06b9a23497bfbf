"""Puts the user's code where its generation expects it, and installs its requirements."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, MutableMapping

from sagedock_toolkit import requirements, user_code
from sagedock_toolkit.generations import Generation, modern_code
from sagedock_toolkit.paths import Paths

log = logging.getLogger(__name__)


def prepare(generation: Generation, paths: Paths, environ: MutableMapping[str, str]) -> None:
    """Before any worker starts; puts what was installed on the path of `environ`.

    Requirements are taken from code/ in the model (modern), from the root of the source (early),
    and only where SAGEMAKER_REQUIREMENTS names a file (legacy). Raises ToolkitError.
    """
    if generation is Generation.MODERN:
        layer = requirements.install(modern_code(paths, environ))
    else:
        _fetch(paths, environ)
        is_early = generation is Generation.EARLY
        layer = _install_early(paths) if is_early else _install_legacy(paths, environ)
    requirements.put_on_path(environ, layer)


def _install_early(paths: Paths) -> str | None:
    """The source is installed as a package where it is one, with its requirements.txt."""
    if os.path.isfile(os.path.join(paths.code, "setup.py")):
        return requirements.install_package(paths.code)
    return requirements.install(paths.code)


def _install_legacy(paths: Paths, environ: Mapping[str, str]) -> str | None:
    """A file that is named but missing is worth a warning (container-support, environment.py)."""
    name = environ.get("SAGEMAKER_REQUIREMENTS")
    if not name:
        return None
    if not os.path.isfile(os.path.join(paths.code, name)):
        log.warning("SAGEMAKER_REQUIREMENTS names %s, which is not in %s.", name, paths.code)
    return requirements.install(paths.code, name)


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
        return os.path.join(modern_code(paths, environ), program)
    return os.path.join(paths.code, environ.get("SAGEMAKER_PROGRAM") or "(none named)")
