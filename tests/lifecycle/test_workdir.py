"""What is left of a job's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sagedock.lifecycle.workdir import Workdir

_AS_NOBODY = """
import os, sys
from pathlib import Path
from sagedock.lifecycle.workdir import Workdir
if os.geteuid() == 0:
    os.setuid(65534)
root = Path(sys.argv[1], "job")
(root / "closed" / "deep").mkdir(parents=True)
(root / "closed" / "deep" / "file").touch()
(root / "out").symlink_to(sys.argv[2])
(root / "closed" / "deep").chmod(0)
(root / "closed").chmod(0)
root.chmod(0o500)
Workdir(root).remove()
print(root.exists())
"""


def test_folders_that_a_script_closed_are_removed_too(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "jobs", tmp_path / "elsewhere"
    for folder in (place, elsewhere):
        folder.mkdir()
        folder.chmod(0o777 if folder == place else 0o755)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o011)
    told = subprocess.run(
        (sys.executable, "-c", _AS_NOBODY, place, elsewhere), capture_output=True, text=True
    )
    if "Permission denied" in told.stderr and os.geteuid() == 0:
        pytest.skip("nobody cannot reach this interpreter")
    assert told.stdout == "False\n", told.stderr
    assert elsewhere.stat().st_mode & 0o777 == 0o755


def test_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    Workdir(tmp_path / "none").remove()

    assert not (tmp_path / "none").exists()
