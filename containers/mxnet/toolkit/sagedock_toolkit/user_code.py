"""Fetch, unpack, install and import the user's code.

AWS's libraries call a plain `extractall` and trust the archive. Ours do not: a member that would
land outside its folder is left out with a warning, and a broken archive is an error that names it.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from sagedock_toolkit import source_archive
from sagedock_toolkit.errors import UserCodeError


def fetch(uri: str, folder: str) -> None:
    """Put the user's code from `uri` into `folder` (created; existing files are overwritten).

    `uri` is `s3://bucket/key.tar.gz`, a folder, a local .tar.gz or any other local file
    (`file://` may stand before local ones). Raises UserCodeError naming `uri`.
    """
    if uri.startswith("s3://"):
        source_archive.download_and_extract(uri, folder)
        return
    local = uri[len("file://") :] if uri.startswith("file://") else uri
    if not os.path.exists(local):
        raise UserCodeError(f"The source {uri!r} does not exist.")
    source_archive.copy_or_extract(local, folder)


def module_name(program: str) -> str:
    """The name under which an entry point is imported: its file name without a trailing .py."""
    return program[: -len(".py")] if program.endswith(".py") else program


def import_program(program: str, folder: str) -> ModuleType:
    """Import the user's entry point with `folder` at sys.path[0]; not as `__main__`.

    One in a subfolder ("src/train.py") cannot be imported, here as in AWS's libraries. Errors of
    the import are the user's own and pass through unchanged.
    """
    if folder not in sys.path[:1]:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    return importlib.import_module(module_name(program))
