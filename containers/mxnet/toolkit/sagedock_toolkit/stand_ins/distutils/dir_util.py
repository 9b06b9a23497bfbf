"""copy_tree, with which scripts copy into folders that exist already."""

from __future__ import annotations

import os
import shutil


def copy_tree(src: str, dst: str) -> list[str]:
    """Copy the content of `src` into `dst`; the files written."""
    written = []
    for where, _, names in os.walk(src):
        target = os.path.normpath(os.path.join(dst, os.path.relpath(where, src)))
        os.makedirs(target, exist_ok=True)
        written += [shutil.copy2(os.path.join(where, n), os.path.join(target, n)) for n in names]
    return written
