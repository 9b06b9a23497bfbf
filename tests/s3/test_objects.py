from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from sagedock.errors import ServiceError
from sagedock.store.object_listing import successor
from sagedock.store.objects import Content, Objects

AWKWARD = [
    "../outside",
    "a/../../outside",
    "/abs",
    "a//b",
    "dot/./x",
    "folder/",
    "folder",
    "Case",
    "case",
    "ü+&% ",
    "🦆",
    ".",
    "k" * 1024,
]


def files_in(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "objects").rglob("*") if path.is_file())


@pytest.mark.parametrize("key", AWKWARD)
def test_any_key_is_just_a_key(objects: Objects, tmp_path: Path, key: str) -> None:
    objects.put_bytes("box", key, key.encode())

    assert objects.read_bytes("box", key) == key.encode()
    assert [record.key for record in objects.list("box")] == [key]
    assert len(files_in(tmp_path)) == 1


def test_keys_that_differ_in_case_or_a_slash_are_two_objects(objects: Objects) -> None:
    for key in AWKWARD:
        objects.put_bytes("box", key, key.encode())

    listed = [record.key for record in objects.list("box")]
    assert listed == sorted(AWKWARD, key=lambda key: key.encode())
    assert all(objects.read_bytes("box", key) == key.encode() for key in AWKWARD)


def test_a_key_of_more_than_1024_bytes_is_refused(objects: Objects, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as refused:
        objects.put_bytes("box", "ü" * 513, b"")

    assert (refused.value.code, refused.value.status) == ("KeyTooLongError", 400)
    assert files_in(tmp_path) == []


def test_an_overwritten_object_gives_its_room_back(objects: Objects, tmp_path: Path) -> None:
    objects.put_bytes("box", "k", b"old")
    objects.put_bytes("box", "k", b"new")

    assert objects.read_bytes("box", "k") == b"new"
    assert len(files_in(tmp_path)) == 1
    objects.delete("box", ["k"])
    assert files_in(tmp_path) == []


def test_an_open_object_stays_readable_whatever_becomes_of_it(objects: Objects) -> None:
    objects.put_bytes("box", "k", b"old")
    with objects.open("box", "k") as file:
        objects.put_bytes("box", "k", b"new")
        objects.delete("box", ["k"])

        assert file.read() == b"old"


def test_a_condition_that_raises_leaves_the_old_object_and_no_file(
    objects: Objects, tmp_path: Path
) -> None:
    def forbid(replaced: object) -> None:
        raise PermissionError("no")

    objects.put_bytes("box", "k", b"old")
    file = objects.new_file()
    file.write(b"new")
    file.close()
    with pytest.raises(PermissionError):
        objects.commit("box", "k", Content(file.name, 3, "etag"), forbid)

    assert objects.read_bytes("box", "k") == b"old"
    assert len(files_in(tmp_path)) == 1


def test_a_moved_file_becomes_the_object_without_a_copy(objects: Objects, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(b"weights")
    inode = archive.stat().st_ino

    record = objects.put_file("box", "model.tar.gz", archive, move=True)

    assert not archive.exists()
    assert objects.path("box", "model.tar.gz").stat().st_ino == inode
    assert (record.size, record.etag) == (7, hashlib.md5(b"weights").hexdigest())
    assert objects.read_bytes("box", "model.tar.gz") == b"weights"


def test_a_prefix_without_keys_exists_not(objects: Objects) -> None:
    objects.put_bytes("box", "data/train", b"")

    assert objects.exists_under("box", "data/")
    assert not objects.exists_under("box", "data/x")
    with pytest.raises(ServiceError, match="bucket does not exist"):
        objects.exists_under("none", "")


def test_readers_never_see_half_an_object_while_it_is_replaced(objects: Objects) -> None:
    bodies = [bytes([i]) * 5000 for i in range(4)]
    objects.put_bytes("box", "k", bodies[0])
    done = threading.Event()

    def write() -> None:
        for i in range(100):
            objects.put_bytes("box", "k", bodies[i % 4])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(objects.read_bytes("box", "k"))
    writer.join()
    assert seen <= set(bodies)


def test_what_was_left_half_written_is_swept_at_the_next_start(tmp_path: Path) -> None:
    first = Objects.at(tmp_path)
    first.create_bucket("box")
    first.put_bytes("box", "k", b"kept")
    first.new_file().write(b"half")  # and now the process dies
    first.close()
    assert len(files_in(tmp_path)) == 2

    second = Objects.at(tmp_path)

    assert len(files_in(tmp_path)) == 1
    assert second.read_bytes("box", "k") == b"kept"
    second.close()


def test_a_file_that_somebody_deleted_is_said_to_be_gone(objects: Objects) -> None:
    objects.put_bytes("box", "k", b"bytes")
    os.unlink(objects.path("box", "k"))

    with pytest.raises(ServiceError, match="something else deleted it"):
        objects.open("box", "k")


@pytest.mark.parametrize(
    ("prefix", "following"),
    [("a", "b"), ("a/", "a0"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None)],
)
def test_the_successor_of_a_prefix_is_above_all_that_starts_with_it(
    prefix: str, following: str | None
) -> None:
    assert successor(prefix) == following
