"""A run's files where the engine cannot show our folders, and whose they are where it can."""

from __future__ import annotations

import logging
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from docker.errors import APIError, NotFound

from sagedock.archives import unpack_members
from sagedock.backends.docker.engine import Engine, explanation
from sagedock.backends.docker.refusals import in_words
from sagedock.backends.docker.runs import DockerRun
from sagedock.errors import RunFailedToStart

log = logging.getLogger("sagedock.docker")

_CHUNK_BYTES = 1 << 20
_NOT_BROUGHT_BACK = ("input",)
"""Below /opt/ml: what we put in ourselves."""


def copy_in(
    engine: Engine, container: str, copied: Iterable[tuple[str, str, bool]], owner: str | None
) -> None:
    """Stream each folder into the container's volume at its place; the container need not run.
    Raises RunFailedToStart."""
    for outside, inside, _ in copied:
        uid, gid = (owner or "0:0").split(":")
        command = (
            *("tar", "-C", outside, f"--owner={uid}", f"--group={gid}", "--numeric-owner"),
            *("-cf", "-", "."),
        )
        with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
            assert tar.stdout is not None
            try:
                engine.client.api.put_archive(container, inside, cast("Any", tar.stdout))
            except APIError as error:
                raise RunFailedToStart(
                    f"The data could not be copied to {inside} of the container: "
                    f"{in_words(explanation(error))}"
                ) from error
        if tar.returncode != 0:
            raise RunFailedToStart(
                f"The data could not be copied to {inside} of the container: tar could not read "
                f"all of {outside}."
            )


def copy_out(engine: Engine, run: DockerRun) -> None:
    """Bring back what the run wrote, before anybody is told that it has ended. Raises
    RunFailedToStart, for without its files the run's end means nothing."""
    for outside, inside, read_only in run.copied:
        if read_only:
            continue
        try:
            with tempfile.TemporaryFile() as spool:
                engine.patiently(partial(_fetch, engine, run.container, inside, spool))
                _unpack(spool, outside, Path(inside).name)
        except NotFound as error:
            log.warning("%s of %s is gone: %s", inside, run.name, explanation(error))
        except (APIError, OSError, tarfile.TarError) as error:
            raise RunFailedToStart(
                f"what the run wrote to {inside} could not be brought back from the engine: "
                f"{explanation(error)}"
            ) from error


def _fetch(engine: Engine, container: str, inside: str, spool: IO[bytes]) -> None:
    spool.seek(0)
    spool.truncate()
    chunks, _ = engine.client.api.get_archive(container, inside, _CHUNK_BYTES)
    for chunk in chunks:
        spool.write(chunk)
    spool.seek(0)


def _unpack(archive: IO[bytes], folder: Path, top: str) -> None:
    """The archive's names begin with the folder's own, as the engine makes them."""
    with tarfile.open(fileobj=archive) as tar:
        members = []
        for member in tar.getmembers():
            member.name = _below(member.name, top)
            if member.islnk():
                member.linkname = _below(member.linkname, top)
            if member.name and member.name.partition("/")[0] not in _NOT_BROUGHT_BACK:
                members.append(member)
        left_out = unpack_members(tar, members, folder)
    if left_out:
        log.warning("Left out, as they lead outside %s: %s", folder, ", ".join(left_out[:10]))


def _below(name: str, top: str) -> str:
    return name.removeprefix(top).lstrip("/")


def has_foreign_files(folders: Sequence[Path]) -> bool:
    """Whether something in our folders belongs to somebody else, as what a container's root wrote
    does. Looks at every file: 20,000 take 0.05 s."""
    own = os.geteuid()
    for folder in folders:
        for where, names, files in os.walk(folder):
            for name in (*names, *files):
                try:
                    if os.lstat(os.path.join(where, name)).st_uid != own:
                        return True
                except OSError:
                    return True
            if not os.access(where, os.R_OK | os.X_OK):
                return True
    return False
