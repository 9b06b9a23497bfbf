"""Archives that were made by others: nothing of them gets outside its folder."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from requests_as_sdks_send import archive
from sagedock.archives import BadArchive, has_files, pack, unpack


def tar_of(*members: tuple[str, bytes, str, bytes]) -> io.BytesIO:
    """A gzip tar of (name, type, link name, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, link, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            tar.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def file(name: str, content: bytes = b"x") -> tuple[str, bytes, str, bytes]:
    return name, tarfile.REGTYPE, "", content


@pytest.mark.parametrize(
    "member",
    [
        file("../escaped"),
        file("a/../../escaped"),
        file("/escaped-absolutely"),
        ("escaped", tarfile.SYMTYPE, "/etc/passwd", b""),
        ("escaped", tarfile.SYMTYPE, "../../outside", b""),
        ("escaped", tarfile.LNKTYPE, "../outside", b""),
        ("escaped", tarfile.LNKTYPE, "/etc/passwd", b""),
        ("escaped", tarfile.CHRTYPE, "", b""),
        ("escaped", tarfile.FIFOTYPE, "", b""),
    ],
)
def test_what_leads_outside_or_is_no_file_is_left_out_and_named(
    tmp_path: Path, member: tuple[str, bytes, str, bytes]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert unpack(tar_of(file("kept"), member), folder) == [member[0]]
    assert [path.name for path in folder.iterdir()] == ["kept"]
    assert not list(tmp_path.glob("escaped*"))


def test_a_member_cannot_go_out_through_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    link = ("link", tarfile.SYMTYPE, "..", b"")
    assert unpack(tar_of(link, file("link/escaped")), folder) == ["link"]
    assert not (tmp_path / "escaped").exists()


def test_links_and_folders_inside_are_kept(tmp_path: Path) -> None:
    inside = ("a/latest", tarfile.SYMTYPE, "weights", b"")
    hard = ("same", tarfile.LNKTYPE, "a/weights", b"")
    assert unpack(tar_of(file("a/weights", b"w"), inside, hard), tmp_path) == []
    assert (tmp_path / "a" / "latest").read_bytes() == b"w"
    assert (tmp_path / "same").read_bytes() == b"w"


def test_set_user_id_bits_and_owners_are_not_taken_over(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("run.sh")
        info.mode, info.uid = 0o4777, 12345
        tar.addfile(info)
    out.seek(0)
    unpack(out, tmp_path)
    status = (tmp_path / "run.sh").stat()
    assert (status.st_mode & 0o7777, status.st_uid) == (0o755, os.getuid())


WHOLE = archive({"a": os.urandom(5000)})


@pytest.mark.parametrize(
    "content",
    [b"", b"this is no archive", gzip.compress(b"no tar" * 999), WHOLE[: len(WHOLE) // 2]],
    ids=["empty", "no gzip", "gzip of no tar", "cut short"],
)
def test_an_unreadable_archive_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadArchive, match="it is no readable gzip tar archive"):
        unpack(io.BytesIO(content), tmp_path)


def test_a_hard_link_to_nothing_makes_the_archive_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BadArchive):
        unpack(tar_of(("same", tarfile.LNKTYPE, "not/there", b"")), tmp_path)


def test_a_folder_where_a_file_is_wanted_could_not_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(BadArchive, match="could not be unpacked"):
        unpack(tar_of(file("taken")), tmp_path)


def test_packing_and_unpacking_gives_the_same_tree(tmp_path: Path) -> None:
    folder, back = tmp_path / "folder", tmp_path / "back"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "é.txt").write_bytes(b"text")
    (folder / "link").symlink_to("a/é.txt")
    os.mkfifo(folder / "pipe")
    pack([folder], tmp_path / "model.tar.gz")
    back.mkdir()
    with (tmp_path / "model.tar.gz").open("rb") as packed:
        assert unpack(packed, back) == []
    found = sorted(path.relative_to(back).as_posix() for path in back.rglob("*"))
    assert found == ["a", "a/empty", "a/é.txt", "link"]
    assert (back / "link").read_bytes() == b"text"


def test_an_archive_of_no_files_is_an_archive(tmp_path: Path) -> None:
    (tmp_path / "model" / "only-a-folder").mkdir(parents=True)
    pack([tmp_path / "model"], tmp_path / "model.tar.gz")
    assert not has_files(tmp_path / "model")
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        assert tar.getnames() == ["only-a-folder"]
