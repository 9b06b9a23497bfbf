"""The CIFAR-10 example without MXNet: its data, its scripts' sameness, its pictures, its words."""

from __future__ import annotations

import ast
import functools
import hashlib
import http.server
import io
import json
import pickle
import sys
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "cifar10"
sys.path.insert(0, str(EXAMPLE))  # the example's files import one another, as when they are run

import data  # noqa: E402
import demo_screen  # noqa: E402
import epoch_table  # noqa: E402
import picture_grid  # noqa: E402
import recordio  # noqa: E402


def test_the_sample_holds_as_many_pictures_of_each_class_as_its_readme_says():
    for name, per_class in (("train.rec", 500), ("test.rec", 100)):
        labels = Counter(one.label for one in recordio.read_pictures(data.SAMPLE / name))
        assert labels == dict.fromkeys(range(10), per_class)


def test_no_picture_of_the_sample_is_both_trained_on_and_tested():
    trained, tested = (
        {one.encoded for one in recordio.read_pictures(data.SAMPLE / name)} for name in data.FILES
    )
    assert len(trained) == 5000
    assert len(tested) == 1000
    assert not trained & tested


def test_the_ten_pictures_are_not_in_the_sample():
    wanted = {_pixels((data.PICTURES / f"{name}.png").read_bytes()) for name in data.CLASSES}
    assert len(wanted) == 10
    for name in data.FILES:
        for one in recordio.read_pictures(data.SAMPLE / name):
            assert _pixels(one.encoded) not in wanted


def test_a_record_that_holds_the_magic_word_comes_back_as_it_was(tmp_path):
    magic = recordio.MAGIC
    written = [
        recordio.Picture(3, 7, b"1234" * 3 + magic + b"56" + magic + magic + b"7"),
        recordio.Picture(1, 8, magic * 2),
        recordio.Picture(0, 9, b""),
    ]
    assert recordio.write_pictures(tmp_path / "odd.rec", written) == 3
    assert list(recordio.read_pictures(tmp_path / "odd.rec")) == written


def test_the_sample_read_and_written_again_is_the_same_file(tmp_path):
    source = data.SAMPLE / "test.rec"
    recordio.write_pictures(tmp_path / "copy.rec", recordio.read_pictures(source))
    assert (tmp_path / "copy.rec").read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"not a record", "not a RecordIO file"), (recordio.MAGIC + b"\x40\0\0\0ab", "middle")],
)
def test_a_damaged_file_is_named(tmp_path, content, words):
    (tmp_path / "bad.rec").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        list(recordio.read_pictures(tmp_path / "bad.rec"))


def test_a_channel_holds_the_two_files_and_can_be_written_again(tmp_path):
    for _ in range(2):
        data.sample().copy_to(tmp_path / "channel")
    assert sorted(path.name for path in (tmp_path / "channel").iterdir()) == sorted(data.FILES)
    assert data.Dataset(tmp_path / "channel", "", full=False).counts() == (5000, 1000)


def test_the_folder_that_the_user_names_is_taken_and_a_wrong_one_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SAGEDOCK_CIFAR10", str(data.SAMPLE))
    assert data.find().folder == data.SAMPLE
    monkeypatch.setenv("SAGEDOCK_CIFAR10", str(tmp_path))
    with pytest.raises(data.DataError, match=r"has no train\.rec and test\.rec"):
        data.find()


def test_an_interrupted_download_goes_on_and_becomes_recordio(tmp_path, monkeypatch, archive):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = archive.file.read_bytes()
    data.cache().mkdir(parents=True)
    (data.cache() / "cifar.tar.gz.part").write_bytes(whole[:1000])

    found = data.download(lambda line: None, archive.url, hashlib.sha256(whole).hexdigest())

    assert archive.ranges == ["bytes=1000-"]
    assert found.counts() == (10, 2)
    first = next(recordio.read_pictures(found.folder / "train.rec"))
    assert first.label == 4
    assert np.array_equal(_array(first.encoded), archive.first_picture)


def test_a_download_of_something_else_is_refused_and_not_kept(tmp_path, monkeypatch, archive):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(data.DataError, match="not the archive its author published"):
        data.download(lambda line: None, archive.url, "0" * 64)
    assert list(data.cache().iterdir()) == []


def test_a_host_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(data.DataError, match=r"cannot be fetched .* use the sample"):
        data.download(lambda line: None, "http://127.0.0.1:9/cifar.tar.gz")


def test_both_scripts_train_the_same_net_in_the_same_way():
    shared = ["SmallNet", "convolution", "read", "fit", "new_net", "batches", "step"]
    shared += ["one_cycle", "accuracy"]
    legacy, script = (_definitions(EXAMPLE / kind / "train.py") for kind in ("legacy", "script"))
    assert [legacy[name] for name in shared] == [script[name] for name in shared]


def test_the_client_scripts_and_the_notebook_do_not_know_of_sagedock():
    notebook = json.loads((EXAMPLE / "cifar10.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    sources += [path.read_text(encoding="utf-8") for path in EXAMPLE.glob("fit_*.py")]
    sources += [path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*/train.py")]
    assert len(sources) >= 5
    for source in sources:
        modules = {name for node in ast.walk(ast.parse(source)) for name in _imported(node)}
        assert "sagedock" not in modules


def test_the_notebook_is_plain_python_and_keeps_no_outputs():
    notebook = json.loads((EXAMPLE / "cifar10.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        if cell["cell_type"] == "code":
            compile("".join(cell["source"]), "cell", "exec")


def test_the_picture_grid_frames_right_in_green_and_wrong_in_red(tmp_path):
    path = data.PICTURES / "cat.png"
    guesses = [
        picture_grid.Guess(path, "cat", "cat", 0.9),
        picture_grid.Guess(path, "cat", "dog", 0.4),
    ]
    target = picture_grid.draw_grid(guesses, "title", "subtitle", tmp_path / "new" / "grid.png")
    colours = {colour for _, colour in Image.open(target).convert("RGB").getcolors(1 << 24)}
    assert {(0x2E, 0x9E, 0x5B), (0xD0, 0x45, 0x3B)} <= colours


def test_the_epoch_table_shows_the_last_epoch_even_when_rows_come_too_fast():
    out = io.StringIO()
    table = epoch_table.EpochTable(demo_screen.Screen(out))
    for epoch in range(3):
        table.feed(f"2026-01-01 INFO - root - [Epoch {epoch}] training: accuracy=0.5")
        table.feed(f"[Epoch {epoch}] time cost: 1.20 s, 4321 images/s")
        table.feed(f"[Epoch {epoch}] validation: accuracy=0.{epoch + 1}")
    table.close()
    rows = [line.split()[:4] for line in out.getvalue().splitlines()[1:]]
    assert rows == [["1", "50.0%", "10.0%", "4,321"], ["3", "50.0%", "30.0%", "4,321"]]


class _Archive:
    """A small archive of the published form, on a server that honours Range."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "cifar.tar.gz"
        self.ranges: list[str] = []
        self.url = ""
        random = np.random.RandomState(0)
        with tarfile.open(self.file, "w:gz") as tar:
            for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
                rows = random.randint(0, 256, (2, 3072)).astype(np.uint8)
                if name == "data_batch_1":
                    self.first_picture = rows[0].reshape(3, 32, 32).transpose(1, 2, 0)
                packed = pickle.dumps({b"data": rows, b"labels": [4, 5]}, protocol=2)
                member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                member.size = len(packed)
                tar.addfile(member, io.BytesIO(packed))


class _RangeHandler(http.server.BaseHTTPRequestHandler):
    def __init__(self, archive: _Archive, *args: object) -> None:
        self.archive = archive
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        body = self.archive.file.read_bytes()
        if wanted:
            self.archive.ranges.append(wanted)
            body = body[int(wanted.removeprefix("bytes=").removesuffix("-")) :]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[_Archive]:
    made = _Archive(tmp_path)
    handler = functools.partial(_RangeHandler, made)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.url = f"http://127.0.0.1:{server.server_port}/cifar.tar.gz"
        yield made
        server.shutdown()


def _array(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def _pixels(encoded: bytes) -> bytes:
    return _array(encoded).tobytes()


def _definitions(path: Path) -> dict[str, str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name: ast.unparse(node)
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [one.name.partition(".")[0] for one in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module.partition(".")[0]]
    return []
