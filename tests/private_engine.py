"""A Docker engine of the tests' own, which believes that it has NVIDIA's Container Toolkit.

It has a socket, a data folder and a network namespace to itself (an engine without a bridge removes
docker0, also where that is another's), and an image made of a few programs of this machine: no
registry is asked, and nothing of the engine that runs here is touched. Three things stand in for
the toolkit. A *hook* of its name on the engine's PATH, by whose presence alone the engine takes
requests for GPUs, and which runc then runs before the container's program. A *runtime* named
nvidia. A *CDI specification* of nvidia.com/gpu, for engines from 25 on. Hook and runtime write down
the container's configuration as they got it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagedock.backends.docker.engine import Engine

IMAGE = "sagedock-test/probe:1"
GPUS = ("GPU-aaaaaaaa-0000-0000-0000-000000000000", "GPU-bbbbbbbb-1111-1111-1111-111111111111")

_PROGRAMS = ("sh", "cat", "env")
_HOOK = """\
#!/bin/sh
cat >{seen}/state.json
bundle=$(sed 's/.*"bundle":"\\([^"]*\\)".*/\\1/' {seen}/state.json)
cp "$bundle/config.json" {seen}/hook.json
if [ -e {seen}/no-driver ]; then
    echo 'nvidia-container-cli: initialization error: nvml error: driver not loaded' >&2
    exit 1
fi
"""
_RUNTIME = """\
#!/bin/sh
for word in "$@"; do
    [ "$last" != --bundle ] || cp "$word/config.json" {seen}/runtime.json
    last=$word
done
exec runc "$@"
"""
_NVIDIA_SMI = r"""
#!/bin/sh
index=0
for uuid in {uuids}; do
    case ",$NVIDIA_VISIBLE_DEVICES,$(eval echo "by-cdi-\$STAND_IN_$index")," in
    *,all,* | *,$uuid,* | *,by-cdi-1,*)
        case "$*" in
        *compute_cap*) echo "$index, $uuid, NVIDIA Stand-in, 8.6, 8192 MiB" ;;
        -L) echo "GPU $index: NVIDIA Stand-in (UUID: $uuid)" ;;
        esac
        ;;
    esac
    index=$((index + 1))
done
"""


def why_none() -> str:
    """Why no private engine can be had here; "" where it can."""
    if os.geteuid() != 0:
        return "a private Docker engine needs root"
    missing = [name for name in ("dockerd", "runc", "unshare", "ldd") if not shutil.which(name)]
    return f"a private Docker engine needs {', '.join(missing)}" if missing else ""


def major_version() -> int:
    told = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+", told.stdout)
    assert found, told.stdout
    return int(found[0])


@dataclass(frozen=True)
class PrivateEngine:
    """`seen` is where hook and runtime leave what they saw; `specification` is the file that
    makes GPUs known by CDI."""

    engine: Engine
    seen: Path
    specification: Path

    def know_gpus_by_cdi(self) -> None:
        self.specification.write_text(json.dumps(_specification()))

    def make_image(self, name: str, *changes: str) -> None:
        """The probe's image under another name, with more lines of a Dockerfile."""
        box = self.engine.client.containers.create(IMAGE, ["env"], network_mode="none")
        repository, _, tag = name.partition(":")
        box.commit(repository, tag, changes=list(changes))
        box.remove()

    def forget(self) -> None:
        for file in self.seen.iterdir():
            file.unlink()

    def environment_seen(self, by: str) -> dict[str, str] | None:
        """The environment in the configuration that `hook` or `runtime` got; None where it was not
        called. Of two values the last counts, as for runc."""
        file = self.seen / f"{by}.json"
        if not file.exists():
            return None
        return environment(json.loads(file.read_text())["process"]["env"])

    def run(self, *command: str, **options: Any) -> str:
        """What the command prints in a container of its own."""
        printed = self.engine.client.containers.run(
            IMAGE, list(command), network_mode="none", remove=True, **options
        )
        assert isinstance(printed, bytes)
        return printed.decode()


def environment(words: list[str]) -> dict[str, str]:
    return dict(word.split("=", 1) for word in words if "=" in word)


@contextlib.contextmanager
def private_engine(folder: Path, toolkit: bool = True) -> Iterator[PrivateEngine]:
    """A started engine in `folder`, with the toolkit's stand-ins or without; all of it is gone
    afterwards."""
    for name in ("bin", "cdi", "seen", "data", "exec"):
        (folder / name).mkdir()
    environment = dict(os.environ)
    if toolkit:
        _program(folder / "bin" / "nvidia-container-runtime-hook", _HOOK, folder)
        _program(folder / "bin" / "stand-in-runtime", _RUNTIME, folder)
        environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    configuration = folder / "daemon.json"
    configuration.write_text(json.dumps(_configuration(folder, toolkit)))
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["unshare", "--net", "dockerd", "--config-file", str(configuration)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        engine = _connected(folder, daemon)
        engine.client.api.import_image_from_data(
            _root_of_image(folder),
            repository=IMAGE.partition(":")[0],
            tag=IMAGE.partition(":")[2],
            changes=["ENV PATH=/bin", "ENV NVIDIA_VISIBLE_DEVICES=all"],
        )
        private = PrivateEngine(engine, folder / "seen", folder / "cdi" / "nvidia.json")
        if toolkit:
            private.know_gpus_by_cdi()
        yield private
        engine.close()
    finally:
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(timeout=20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()
        for mount in _mounts_below(folder):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(folder)


def _configuration(folder: Path, toolkit: bool) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "data-root": str(folder / "data"),
        "exec-root": str(folder / "exec"),
        "pidfile": str(folder / "pid"),
        "hosts": [_address(folder)],
        "storage-driver": "vfs",  # leaves no mounts behind, and the image is small
        "bridge": "none",
        "iptables": False,
    }
    if toolkit:
        wanted["runtimes"] = {"nvidia": {"path": str(folder / "bin" / "stand-in-runtime")}}
    if major_version() >= 25:
        wanted |= {"features": {"cdi": True}, "cdi-spec-dirs": [str(folder / "cdi")]}
    return wanted


def _address(folder: Path) -> str:
    return f"unix://{folder / 'sock'}"


def _connected(folder: Path, daemon: subprocess.Popen[bytes]) -> Engine:
    end = time.monotonic() + 60
    while not (folder / "sock").exists():
        if daemon.poll() is not None or time.monotonic() > end:
            raise AssertionError((folder / "log").read_text()[-2000:])
        time.sleep(0.05)
    engine = Engine.connect(_address(folder))
    assert engine.wait_until_back(), (folder / "log").read_text()[-2000:]
    return engine


def _program(path: Path, text: str, folder: Path) -> None:
    path.write_text(text.format(seen=folder / "seen", uuids=" ".join(GPUS)))
    path.chmod(0o755)


def _specification() -> dict[str, Any]:
    """Device nodes have to exist on this machine, so /dev/null plays each GPU."""
    devices = [
        {
            "name": uuid,
            "containerEdits": {
                "env": [f"STAND_IN_{index}=1"],
                "deviceNodes": [{"path": f"/dev/nvidia{index}", "hostPath": "/dev/null"}],
            },
        }
        for index, uuid in enumerate(GPUS)
    ]
    every = {"env": [f"STAND_IN_{index}=1" for index in range(len(GPUS))]}
    return {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "devices": [*devices, {"name": "all", "containerEdits": every}],
        "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=void"]},
    }


def _root_of_image(folder: Path) -> bytes:
    """A tar of a few of this machine's programs, the libraries they name, and an nvidia-smi that
    lists those of GPUS which it can see (the toolkit puts the real one into the container)."""
    files = {f"/bin/{name}": str(shutil.which(name)) for name in _PROGRAMS}
    told = subprocess.run(
        ["ldd", *files.values()], capture_output=True, text=True, check=True
    ).stdout
    files |= {library: library for library in re.findall(r"(/\S+) \(0x", told)}
    _program(folder / "nvidia-smi", _NVIDIA_SMI.lstrip(), folder)
    files["/bin/nvidia-smi"] = str(folder / "nvidia-smi")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", dereference=True) as tar:
        for inside, outside in files.items():
            tar.add(outside, arcname=inside.lstrip("/"))
    return packed.getvalue()


def _mounts_below(folder: Path) -> list[str]:
    """Deepest first."""
    places = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    return sorted((place for place in places if place.startswith(f"{folder}/")), reverse=True)
