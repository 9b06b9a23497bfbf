from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sagedock.errors import ServiceError
from sagedock.store.objects import Objects

NOBODY = 65534


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user may use; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="staging-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_ordinary_user(work: Callable[[], None]) -> None:
    """Run `work` in a child process that is not root."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_whoever_writes_into_a_staged_file_never_changes_the_object(
    objects: Objects, tmp_path: Path
) -> None:
    objects.put_bytes("box", "train.rec", b"records")
    staged = tmp_path / "train.rec"

    how = objects.stage("box", "train.rec", staged)

    assert how in ("reflink", "copy")
    staged.write_bytes(b"scribble")
    assert objects.read_bytes("box", "train.rec") == b"records"


def test_an_ordinary_users_script_gets_a_link_that_it_cannot_write_to(open_folder: Path) -> None:
    def work() -> None:
        objects = Objects.at(open_folder / "home")
        objects.create_bucket("box")
        objects.put_bytes("box", "train.rec", b"records")
        staged = open_folder / "train.rec"

        how = objects.stage("box", "train.rec", staged, reader_is_ordinary_user=True)

        assert how in ("reflink", "link")
        if how == "link":
            assert staged.stat().st_ino == objects.path("box", "train.rec").stat().st_ino
            with pytest.raises(PermissionError):
                staged.open("r+b")
        assert staged.read_bytes() == b"records"
        staged.unlink()
        assert objects.read_bytes("box", "train.rec") == b"records"

    as_ordinary_user(work)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write through a link's mode")
def test_root_never_gets_a_link(objects: Objects, tmp_path: Path) -> None:
    objects.put_bytes("box", "k", b"records")

    how = objects.stage("box", "k", tmp_path / "k", reader_is_ordinary_user=True)

    assert how in ("reflink", "copy")


def test_a_staged_file_outlives_its_object(objects: Objects, tmp_path: Path) -> None:
    objects.put_bytes("box", "k", b"first")
    objects.stage("box", "k", tmp_path / "k")
    objects.put_bytes("box", "k", b"second")
    objects.delete("box", ["k"])

    assert (tmp_path / "k").read_bytes() == b"first"


def test_staging_a_key_that_is_not_there_makes_no_file(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as refused:
        objects.stage("box", "none", tmp_path / "none")

    assert refused.value.code == "NoSuchKey"
    assert not (tmp_path / "none").exists()
