"""Ctrl-C, and a CI server that gives up, in the middle of a check that runs something."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from requests_as_sdks_send import PATIENCE, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_stopped_ends_what_it_runs_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path, frameworks: Path
) -> None:
    script = tmp_path / "sleeps.py"
    mark = tmp_path / "pid"
    script.write_text(
        f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(300)\n",
        encoding="utf-8",
    )
    (tmp_path / "work").mkdir()
    words = [sys.executable, "-m", "sagedock", "check", str(script), "--run", "--ignore", "SD1"]
    environment = {"SAGEDOCK_FRAMEWORKS": str(frameworks), "TMPDIR": str(tmp_path / "work")}
    check = subprocess.Popen(
        words,
        env={**os.environ, **environment},
        # As in a terminal: a shell that starts us in the background has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: mark.read_text() if mark.exists() else "", bool)
    check.send_signal(number)
    _, told = check.communicate(timeout=PATIENCE)
    assert check.returncode == 128 + number, told
    assert f"Training {script.as_posix()}, for 120 s at the most" in told.splitlines()
    wait_for(lambda: Path(f"/proc/{mark.read_text()}").exists(), lambda there: not there)
    assert list((tmp_path / "work").iterdir()) == []
