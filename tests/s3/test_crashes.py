"""The store in a process of its own, which dies or runs out of room."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sagedock.store.multipart import MultipartUploads
from sagedock.store.object_schema import Details
from sagedock.store.objects import Objects

WRITER = """
import sys
from pathlib import Path
from sagedock.store.objects import Objects
objects = Objects.at(Path(sys.argv[1]))
objects.create_bucket("box")
number = 0
while True:
    objects.put_bytes("box", f"key-{number}", b"%d" % number * 10_000)
    objects.put_bytes("box", "same", b"%d" % number * 10_000)
    print(number, flush=True)
    number += 1
"""

FULL = """
import resource, sys
from pathlib import Path
from sagedock.errors import ServiceError
from sagedock.store.objects import Objects
objects = Objects.at(Path(sys.argv[1]))
objects.create_bucket("box")
objects.put_bytes("box", "k", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    objects.put_bytes("box", "k", b"x" * (2 << 20))
except ServiceError as error:
    print(error.code, error.status)
print(objects.read_bytes("box", "k"))
"""


def test_every_acknowledged_object_is_whole_after_kill_9(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 40:
            break
    writer.send_signal(signal.SIGKILL)
    last = max([40, *(int(line) for line in writer.stdout)])
    writer.wait()

    objects = Objects.at(tmp_path)
    for number in range(last + 1):
        assert objects.read_bytes("box", f"key-{number}") == b"%d" % number * 10_000
    assert objects.read_bytes("box", "same") in [b"%d" % n * 10_000 for n in (last, last + 1)]
    kept = {record.file for record in objects.list("box")}
    assert {path.name for path in (tmp_path / "objects").rglob("*-*")} == kept
    objects.close()


def test_a_file_that_gets_too_large_for_the_disk_leaves_the_old_object(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert told.stdout.splitlines() == ["InsufficientStorage 507", "b'old'"]
    sizes = [os.path.getsize(path) for path in (tmp_path / "objects").rglob("*-*")]
    assert sizes == [3]


def test_an_unfinished_upload_survives_a_restart(tmp_path: Path) -> None:
    first = Objects.at(tmp_path)
    first.create_bucket("box")
    upload = MultipartUploads(first).create("box", "k", Details(metadata={"m": "v"}))
    first.close()

    second = Objects.at(tmp_path)

    assert MultipartUploads(second).get("box", "k", upload.id) == upload
    second.close()
