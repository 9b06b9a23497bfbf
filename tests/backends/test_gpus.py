"""GPUs of a machine that has none: programs named nvidia-smi and a library named as NVML's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sagedock.backends import gpus
from sagedock.backends.gpus import Discovery, Gpu, by_nvidia_smi, parse

GIB = 1024**3

A_SERVER = """\
0, GPU-6a0c9b7e-3f0e-1d2c-8a51-0d4f5f3f2a11, NVIDIA A10G, 8.6, 23028 MiB
1, GPU-0f7b1c55-98d1-4f3b-bd13-6a2e77c4be02, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB
GPU 0: NVIDIA A10G (UUID: GPU-6a0c9b7e-3f0e-1d2c-8a51-0d4f5f3f2a11)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-0f7b1c55-98d1-4f3b-bd13-6a2e77c4be02)
"""
A_SPLIT_CARD = """\
0, GPU-5d5b3f2e-1111-2222-3333-444455556666, NVIDIA A100-SXM4-40GB, 8.0, 40960 MiB
1, GPU-77777777-1111-2222-3333-444455556666, Tesla T4, 7.5, 15360 MiB
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b3f2e-1111-2222-3333-444455556666)
  MIG 3g.20gb     Device  0: (UUID: MIG-b1f3c2d4-aaaa-5bbb-8ccc-0123456789ab)
  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-5d5b3f2e-1111-2222-3333-444455556666/9/0)
GPU 1: Tesla T4 (UUID: GPU-77777777-1111-2222-3333-444455556666)
"""
AN_OLD_DRIVER = """\
Field "compute_cap" is not a valid field to query.

0, GPU-11111111-2222-3333-4444-555555555555, Tesla V100-SXM2-16GB, 16160 MiB
"""


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A program of that name, before all others on the PATH."""

    def make(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return make


def test_every_card_of_a_server_is_read() -> None:
    a10g, h100 = parse(A_SERVER)
    uuid = "GPU-6a0c9b7e-3f0e-1d2c-8a51-0d4f5f3f2a11"
    assert a10g == Gpu(0, uuid, "NVIDIA A10G", (8, 6), 23028 * 1024**2)
    assert (h100.index, h100.architecture) == (1, "sm_90")
    assert str(h100) == "NVIDIA H100 80GB HBM3 (sm_90)"


def test_a_split_card_is_read_as_its_pieces() -> None:
    big, small, t4 = parse(A_SPLIT_CARD)
    assert big.uuid == "MIG-b1f3c2d4-aaaa-5bbb-8ccc-0123456789ab"
    assert big.name == "NVIDIA A100-SXM4-40GB MIG 3g.20gb"
    assert small.uuid == "MIG-GPU-5d5b3f2e-1111-2222-3333-444455556666/9/0"
    assert small.compute_capability == (8, 0)
    assert t4.name == "Tesla T4"


@pytest.mark.parametrize(
    "line",
    [
        "0, GPU-1-2, NVIDIA GB10, 12.1, [N/A]",
        "0, GPU-1-2, NVIDIA GB10, 12.1, [Not Supported]",
    ],
)
def test_memory_that_the_driver_does_not_tell_is_not_known(line: str) -> None:
    assert parse(line) == (Gpu(0, "GPU-1-2", "NVIDIA GB10", (12, 1), None),)


def test_a_capability_that_the_driver_does_not_tell_is_not_known() -> None:
    (gpu,) = parse("3, GPU-1-2, GRID A100X-10C, [N/A], 10240 MiB")
    assert (gpu.index, gpu.compute_capability, gpu.architecture) == (3, None, "")
    (old,) = parse(AN_OLD_DRIVER)
    assert (old.name, old.compute_capability) == ("Tesla V100-SXM2-16GB", None)


def test_what_is_no_card_is_passed_over() -> None:
    noise = "WARNING: infoROM is corrupted at gpu 0000:00:1E.0\n"
    assert len(parse(noise + A_SERVER)) == 2
    assert parse("No devices were found\n") == ()
    assert parse("") == ()


def test_nvidia_smi_is_asked(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi(
        'case "$*" in\n'
        "*compute_cap*) echo '0, GPU-1-2, Tesla T4, 7.5, 15360 MiB' ;;\n"
        "-L) echo 'GPU 0: Tesla T4 (UUID: GPU-1-2)' ;;\n"
        "*) exit 2 ;;\nesac"
    )
    assert by_nvidia_smi() == Discovery((Gpu(0, "GPU-1-2", "Tesla T4", (7, 5), 15 * GIB),))


def test_an_old_nvidia_smi_is_asked_for_what_it_knows(nvidia_smi: Callable[[str], None]) -> None:
    nvidia_smi(
        'case "$*" in\n'
        "*compute_cap*) echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2 ;;\n"
        "*--query-gpu*) echo '0, GPU-1-2, Tesla T4, 15360 MiB' ;;\nesac"
    )
    (gpu,) = by_nvidia_smi().gpus
    assert (gpu.uuid, gpu.compute_capability) == ("GPU-1-2", None)


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo 'No devices were found'; exit 6", "No devices were found"),
        ("echo 'NVIDIA-SMI has failed.' >&2; exit 9", "NVIDIA-SMI has failed"),
        ("exit 1", "nvidia-smi lists no GPU"),
        ("printf 'caf\\351\\n'; exit 1", "caf\ufffd"),
    ],
)
def test_an_nvidia_smi_that_fails_is_no_gpu_and_its_own_words(
    nvidia_smi: Callable[[str], None], script: str, trouble: str
) -> None:
    nvidia_smi(script)
    assert by_nvidia_smi() == Discovery((), trouble)


def test_an_nvidia_smi_that_hangs_is_no_gpu(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi("exec sleep 60")
    monkeypatch.setattr(gpus, "_SECONDS", 0.2)
    found = by_nvidia_smi()
    assert found.gpus == ()
    assert "does not answer" in found.trouble


def test_no_nvidia_smi_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert by_nvidia_smi() == Discovery()


# --- NVML --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library of NVML's name and interface."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler, to build a library that stands in for NVML")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("nvml.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return folder


def discovered(driver: Path, **env: str) -> list[str]:
    """What `discover` finds in a process of its own, since a library stays loaded."""
    code = (
        "from sagedock.backends.gpus import discover\n"
        "found = discover()\n"
        "for gpu in found.gpus: print(gpu.index, gpu.uuid, gpu, gpu.memory_bytes)\n"
        "print('trouble:', found.trouble)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "PATH": "", **env}
    call = [sys.executable, "-c", code]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_nvml_tells_cards_and_pieces_and_passes_a_lost_one_over(driver: Path) -> None:
    assert discovered(driver) == [
        f"0 MIG-cccc-0003 NVIDIA A100-SXM4-40GB MIG 1g.5gb (sm_80) {4 * GIB}",
        "0 MIG-dddd-0004 NVIDIA A100-SXM4-40GB MIG 3g.20gb (sm_80) None",
        f"1 GPU-bbbbbbbb-0001 Tesla T4 (sm_75) {2 * GIB}",
        "trouble: the NVIDIA driver says of GPU 2: GPU is lost",
    ]


def test_a_driver_that_was_updated_under_us_is_no_gpu_and_its_own_words(driver: Path) -> None:
    said = "trouble: the NVIDIA driver says: RM has detected an NVML/RM version mismatch"
    assert discovered(driver, NVML_FAILS="1") == [said]


def test_a_machine_without_a_driver_has_no_gpu_and_no_trouble(tmp_path: Path) -> None:
    if any(Path("/dev").glob("nvidia*")):
        pytest.skip("this machine has a driver")
    assert discovered(tmp_path) == ["trouble: "]
