"""Whose a home is, and which sagedock wrote it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sagedock.errors import StartupError
from sagedock.home import LAYOUT, Home


def test_a_home_is_made_for_its_user_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.open()
    assert (tmp_path / "deep" / "home").stat().st_mode & 0o777 == 0o700
    assert (home.folder / "layout").read_text() == f"{LAYOUT}\n"
    home.close()


def test_a_second_emulator_on_one_home_is_told_who_has_it(tmp_path: Path) -> None:
    first = Home(tmp_path)
    first.open()
    first.announce("http://127.0.0.1:4599")
    with pytest.raises(StartupError) as caught:
        Home(tmp_path).open()
    told = str(caught.value)
    assert str(tmp_path) in told
    assert f"process {os.getpid()}, http://127.0.0.1:4599" in told
    assert "--home" in told
    first.close()
    second = Home(tmp_path)
    second.open()
    second.close()


def test_a_home_of_a_newer_sagedock_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "layout").write_text(f"{LAYOUT + 1}\n")
    with pytest.raises(StartupError, match="written by a newer sagedock"):
        Home(tmp_path).open()
    assert (tmp_path / "layout").read_text() == f"{LAYOUT + 1}\n"
    (tmp_path / "layout").write_text(f"{LAYOUT}\n")
    mended = Home(tmp_path)
    mended.open()
    mended.close()


def test_the_address_is_told_only_while_the_home_is_held(tmp_path: Path) -> None:
    home, looking = Home(tmp_path), Home(tmp_path)
    assert looking.address() is None
    home.open()
    assert looking.address() is None
    home.announce("http://127.0.0.1:1234")
    address = looking.address()
    assert address is not None
    assert (address.url, address.pid) == ("http://127.0.0.1:1234", os.getpid())
    home.close()
    assert looking.address() is None


def test_an_address_that_a_killed_emulator_left_is_not_believed(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from sagedock.home import Home\n"
        "home = Home(Path(sys.argv[1])); home.open(); home.announce('http://127.0.0.1:9')\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=30)
    assert (tmp_path / "address.json").exists()
    assert Home(tmp_path).address() is None


@pytest.mark.parametrize("told", ["", "no json", "[]", '{"url": 1}'])
def test_a_damaged_address_is_no_address(tmp_path: Path, told: str) -> None:
    home = Home(tmp_path)
    home.open()
    (tmp_path / "address.json").write_text(told)
    assert Home(tmp_path).address() is None
    home.close()


def test_a_home_that_cannot_be_one_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartupError, match=r"file/home cannot be used .* --home"):
        Home(tmp_path / "file" / "home").open()


def test_closing_a_home_that_was_refused_leaves_its_holders_address(tmp_path: Path) -> None:
    first, second = Home(tmp_path), Home(tmp_path)
    first.open()
    first.announce("http://127.0.0.1:4599")
    with pytest.raises(StartupError):
        second.open()
    second.close()
    assert Home(tmp_path).address() is not None
    first.close()
