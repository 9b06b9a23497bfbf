"""Which GPUs a library holds code for, read from libraries made by hand."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "containers" / "mxnet" / "cuda" / "gpu_code.py"
CODE, PTX = 2, 1


def fat_binary(*entries: tuple[int, int], body: int = 24) -> bytes:
    """One fat binary with an entry for each (kind, architecture)."""
    content = b""
    for kind, architecture in entries:
        head = bytearray(64)
        struct.pack_into("<HHIQ", head, 0, kind, 0, 64, body)
        struct.pack_into("<I", head, 28, architecture)
        content += bytes(head) + bytes(body)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(content)) + content


def library(folder: Path, *binaries: bytes, section: bytes = b".nv_fatbin") -> Path:
    """A 64-bit ELF file that has nothing but one such section, with padding between binaries."""
    device_code = (b"\0" * 16).join(binaries)
    names = b"\0.shstrtab\0" + section + b"\0"
    start = 64
    table = start + len(device_code) + len(names)

    def head(name: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, size, 0, 0, 1, 0)

    elf = bytearray(64)
    elf[:5] = b"\x7fELF\x02"
    struct.pack_into("<Q", elf, 0x28, table)
    struct.pack_into("<HHH", elf, 0x3A, 64, 3, 1)
    heads = (
        bytes(64)
        + head(1, start + len(device_code), len(names))
        + head(11, start, len(device_code))
    )
    path = folder / "library.so"
    path.write_bytes(bytes(elf) + device_code + names + heads)
    return path


def read(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("section", [b".nv_fatbin", b"__nv_relfatbin"])
def test_all_binaries_of_a_library_count(tmp_path: Path, section: bytes) -> None:
    first = fat_binary((CODE, 70), (CODE, 50))
    path = library(tmp_path, first, fat_binary((CODE, 86), (PTX, 86), (CODE, 70)), section=section)

    assert read(path).stdout == "sm_50 sm_70 compute_86 sm_86\n"


def test_a_library_without_device_code_holds_none(tmp_path: Path) -> None:
    assert read(library(tmp_path, section=b".text")).stdout == "\n"


def test_a_label_that_tells_the_truth_is_right(tmp_path: Path) -> None:
    assert (
        read(library(tmp_path, fat_binary((CODE, 70), (CODE, 80))), "sm_70 sm_80").returncode == 0
    )


def test_a_label_that_does_not_fails_the_build(tmp_path: Path) -> None:
    told = read(library(tmp_path, fat_binary((CODE, 70))), "sm_70 sm_90")

    assert told.returncode == 1
    assert "holds code for sm_70, and the image is to be labelled sm_70 sm_90" in told.stderr


def test_what_is_no_library_is_said(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no library" * 10)

    told = read(tmp_path / "text")

    assert told.returncode == 1
    assert "not a 64-bit ELF file" in told.stderr
