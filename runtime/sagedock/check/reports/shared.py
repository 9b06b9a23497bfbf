"""One check for several processes: the first that asks makes the report, the others read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sagedock.backends.locks import locked
from sagedock.check.findings import Finding, Looked, Report
from sagedock.errors import CheckError


def shared(folder: Path, make: Callable[[], Report]) -> Report:
    """The report of that folder, which processes have in common. Raises CheckError as `make` did,
    whoever called it."""
    file = folder / "report.json"
    with locked(folder / "lock"):
        if not file.is_file():
            unfinished = folder / "report.unfinished"
            unfinished.write_text(json.dumps(_made(make)), encoding="utf-8")
            os.replace(unfinished, file)
    told = json.loads(file.read_text(encoding="utf-8"))
    if "error" in told:
        raise CheckError(told["error"])
    return Report(
        findings=tuple(Finding(**found) for found in told["findings"]),
        checked=tuple(Looked(**looked) for looked in told["checked"]),
        target=told["target"],
        not_run=tuple(told["not_run"]),
    )


def _made(make: Callable[[], Report]) -> dict[str, Any]:
    try:
        return asdict(make())
    except CheckError as error:
        return {"error": str(error)}
