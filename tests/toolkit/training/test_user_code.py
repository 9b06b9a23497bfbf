"""Where the code comes from, what of an archive is unpacked, and what it needs installed."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Job, archive

PASSES = "def train():\n    print('trained')\n"


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An endpoint that answers GET /bucket/key from a folder."""
    folder = tmp_path / "s3"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_code_comes_from_the_endpoints_s3(legacy: Job, s3: tuple[str, Path], variable: str) -> None:
    endpoint, folder = s3
    (folder / "bucket" / "a b+c").mkdir(parents=True)
    (folder / "bucket" / "a b+c" / "source.tar.gz").write_bytes(archive({"entry.py": PASSES}))
    legacy.env[variable] = endpoint
    legacy.hyperparameters(sagemaker_submit_directory="s3://bucket/a b+c/source.tar.gz")
    assert "trained\n" in legacy.run().log


@pytest.mark.parametrize("version", ["1.2.1", "1.9.0"])
def test_an_object_that_is_not_there_is_named(
    new_job: Callable[..., Job], s3: tuple[str, Path], version: str
) -> None:
    job = new_job(version=version)
    job.env["AWS_ENDPOINT_URL"] = s3[0]
    job.hyperparameters(sagemaker_submit_directory="s3://bucket/none.tar.gz")
    ended = job.run()
    assert ended.code == 1
    assert "Cannot fetch s3://bucket/none.tar.gz" in ended.failure
    assert "there is no such object" in ended.failure


def test_code_comes_from_a_folder_or_one_file(script: Job, tmp_path: Path) -> None:
    folder = tmp_path / "source"
    (folder / "inner").mkdir(parents=True)
    (folder / "entry.py").write_text("import inner.part\n")
    (folder / "inner" / "part.py").write_text("print('from a folder')\n")
    script.hyperparameters(sagemaker_submit_directory=f"file://{folder}")
    assert "from a folder\n" in script.run().log


WHOLE = archive({"entry.py": PASSES, "padding": os.urandom(200_000)})


@pytest.mark.parametrize("version", ["1.2.1", "1.9.0"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(WHOLE[: len(WHOLE) // 2], id="cut short"),
        pytest.param(b"this is no archive" * 100, id="not gzip"),
        pytest.param(gzip.compress(b"x" * 5000), id="gzip of no tar"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_broken_archive_is_an_error_that_names_it(
    new_job: Callable[..., Job], version: str, body: bytes
) -> None:
    job = new_job(version=version)
    (job.base / "source.tar.gz").write_bytes(body)
    ended = job.run()
    assert ended.code == 1
    assert f"The source archive {job.base}/source.tar.gz cannot be unpacked" in ended.failure


def test_nothing_of_an_archive_gets_out_of_its_folder(legacy: Job, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    files = {"entry.py": PASSES, str(outside / "absolute"): "x"}
    files.update({"../" * up + str(outside / f"up-{up}").lstrip("/"): "x" for up in range(1, 9)})
    legacy.source()
    with tarfile.open(legacy.base / "source.tar.gz", "w:gz") as tar:
        for name, text in files.items():
            _add(tar, name, text)
        _link(tar, "link", str(outside))
        _add(tar, "link/through", "x")
        _link(tar, "within", "entry.py")
        _link(tar, "hard", "../../outside/absolute", tarfile.LNKTYPE)
        _link(tar, "device", "", tarfile.CHRTYPE)
    ended = legacy.run()
    assert ended.succeeded
    assert os.listdir(outside) == []
    assert os.readlink(legacy.base / "code/within") == "entry.py"
    assert "member 'link' is left out: it is a link to" in ended.log
    assert "member 'device' is left out: it is a device or a pipe" in ended.log


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text)
    tar.addfile(info, io.BytesIO(text.encode()))


def _link(tar: tarfile.TarFile, name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    tar.addfile(info)


@pytest.fixture(params=["uv", "pip"])
def layers(request: pytest.FixtureRequest, script: Job, tmp_path: Path) -> Path:
    """Layers are built with the real uv or pip, which find packages in one folder only."""
    folder = tmp_path / "layers"
    script.env["SAGEDOCK_LAYERS"] = str(folder)
    if request.param == "uv":
        uv = pytest.importorskip("uv").find_uv_bin()
        script.env.update(SAGEDOCK_UV=uv, UV_OFFLINE="1", UV_NO_INDEX="1")
        script.env["UV_FIND_LINKS"] = str(tmp_path)
        script.env["UV_CACHE_DIR"] = str(tmp_path / "cache")
    else:
        script.env.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path))
        script.env["PIP_CONFIG_FILE"] = os.devnull
    _wheel(tmp_path, "tiny_package", "1.0")
    return folder


def _wheel(folder: Path, name: str, version: str, needs: str = "") -> None:
    """A wheel with one module, made by hand."""
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += f"Requires-Dist: {needs}\n" if needs else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = '{version}'\n")
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_requirements_become_a_layer_that_is_built_once(script: Job, layers: Path) -> None:
    entry = "import tiny_package\nprint('got', tiny_package.version)\n"
    first = script.run(entry_py=entry, requirements_txt="tiny-package\n")
    second = script.run()
    assert (first.said("got"), second.said("got")) == (1.0, 1.0)
    assert "Installing:" in first.log
    assert "Installing:" not in second.log
    assert len([f for f in layers.iterdir() if f.is_dir()]) == 1


def test_requirements_that_cannot_be_had(script: Job, layers: Path) -> None:
    ended = script.run(entry_py="", requirements_txt="tiny-package==2.0\n")
    assert ended.code == 1
    assert ended.failure.startswith("InstallRequirementsError:\nExitCode ")
    assert "tiny-package==2.0" in ended.failure
    assert not [f for f in layers.iterdir() if f.is_dir()]


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("other", 1.0),
        ("other\ntiny-package", 1.0),
        ("other\ntiny-package>=2", 2.0),
        ("strict", 2.0),
    ],
)
def test_what_the_environment_has_stays_at_its_version_unless_asked_otherwise(
    script: Job, layers: Path, wanted: str, version: float
) -> None:
    installed = layers.parent / "installed" / "tiny_package-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Name: tiny-package\nVersion: 1.0\n")
    script.env["PYTHONPATH"] = f"{script.site}:{installed.parent}"
    _wheel(layers.parent, "tiny_package", "2.0")
    _wheel(layers.parent, "other", "1.0", needs="tiny-package")
    _wheel(layers.parent, "strict", "1.0", needs="tiny-package>=2")
    entry = "import tiny_package\nprint('got', tiny_package.version)\n"
    assert script.run(entry_py=entry, requirements_txt=wanted).said("got") == version


def test_without_layers_pip_installs_into_the_image(script: Job) -> None:
    ended = script.run(entry_py="", requirements_txt="--no-index\nno-such-thing\n")
    assert ended.code == 1
    assert ended.failure.startswith("InstallRequirementsError:\n")
    assert "-m pip install -r requirements.txt" in ended.failure
