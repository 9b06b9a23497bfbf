"""Our images on a real engine: built, kept current, and run as SageMaker runs images."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from requests_as_sdks_send import wait_for
from sagedock.backends.docker import build_context, builds, bundles
from sagedock.backends.docker.engine import Engine
from sagedock.backends.toolkit_copy import ToolkitSource
from sagedock.domain.families import ImageFamily
from sagedock.domain.images import MXNET, ImageTable
from sagedock.errors import EngineUnavailable, RunFailedToStart, StartupError

pytestmark = pytest.mark.docker

PYTHON = ImageTable.builtin().family("python")
SOMEBODY = 12345
"""A user that is in no image."""

TRAIN = """
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
rate = parser.parse_args().rate
data = open(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "data.txt")).read()
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w") as model:
    model.write(f"{rate} {data}")
print("trained by", os.getuid())
"""
SERVE = """
def model_fn(folder):
    return open(folder + "/model.txt").read()

def transform_fn(model, data, content_type, accept):
    return model + data.decode(), "text/plain"
"""
LOCKED = ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--env=HOME=/tmp"]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    try:
        found = Engine.connect()
    except EngineUnavailable as error:
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture(params=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to build; the command's way where there is the command."""
    if request.param == "classic":
        monkeypatch.setattr(builds, "_has_buildkit", lambda engine: False)
    elif shutil.which("docker") is None:
        pytest.skip("there is no docker command")
    return str(request.param)


@pytest.fixture
def family(engine: Engine, tmp_path: Path) -> Iterator[Callable[[str], ImageFamily]]:
    """family("FROM …") is a user's family of that Dockerfile; its images go with the test."""
    made: list[ImageFamily] = []

    def make(dockerfile: str) -> ImageFamily:
        name = f"test-{os.getpid()}-{time.monotonic_ns()}"
        folder = tmp_path / "own"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        made.append(
            ImageFamily(
                name=name,
                description="",
                release="1",
                repositories=(f"sagedock/{name}",),
                dockerfiles=(("cpu", "own/Dockerfile"),),
                folder=tmp_path,
            )
        )
        return made[-1]

    yield make
    for one in made:
        for image in engine.client.api.images(one.alias):
            for tag in image["RepoTags"] or ():
                engine.client.images.remove(tag, force=True)


def docker(*words: str) -> str:
    """What the command prints, stderr too; it has to succeed."""
    told = subprocess.run(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    assert told.returncode == 0, told.stdout
    return told.stdout


def opt_ml(folder: Path, script: str, hyperparameters: dict[str, str]) -> Path:
    """A job's tree by hand, as SageMaker lays it, that SOMEBODY may write."""
    for name in ("input/config", "input/data/train", "code", "model", "output/data"):
        (folder / name).mkdir(parents=True)
    own = {"sagemaker_program": '"train.py"', "sagemaker_submit_directory": '"/opt/ml/code"'}
    files = {
        "hyperparameters": {**own, **hyperparameters},
        "inputdataconfig": {"train": {"TrainingInputMode": "File"}},
        "resourceconfig": {
            "current_host": "algo-1",
            "hosts": ["algo-1"],
            "network_interface_name": "eth0",
        },
    }
    for name, content in files.items():
        (folder / "input" / "config" / f"{name}.json").write_text(json.dumps(content))
    (folder / "input" / "data" / "train" / "data.txt").write_text("seven")
    (folder / "code" / "train.py").write_text(script)
    subprocess.run(["chmod", "-R", "a+rwX", str(folder)], check=True)
    return folder


def as_somebody(ml: Path, *more: str) -> list[str]:
    user = [f"--user={SOMEBODY}:{SOMEBODY}", "--group-add=0"]
    return ["run", "--rm", "--init", *user, *LOCKED, *more, f"--volume={ml}:/opt/ml"]


@pytest.mark.parametrize("which", [PYTHON, MXNET], ids=["python", "mxnet"])
def test_a_script_trains_under_any_user_without_any_privilege(
    engine: Engine, which: ImageFamily, tmp_path: Path
) -> None:
    image = builds.ensure(engine, which, "cpu", print)
    script = f"import {'mxnet' if which is MXNET else 'json'}\n{TRAIN}"
    ml = opt_ml(tmp_path / "ml", script, {"rate": "0.5"})

    said = docker(*as_somebody(ml), image, "train")

    assert f"trained by {SOMEBODY}" in said
    model = ml / "model" / "model.txt"
    assert model.read_text() == "0.5 seven"
    assert model.stat().st_uid == SOMEBODY


def test_a_script_trains_in_the_image_as_it_is(engine: Engine, tmp_path: Path) -> None:
    """As SageMaker's local mode starts it, with folders that only root may enter."""
    image = builds.ensure(engine, PYTHON, "cpu", print)
    ml = opt_ml(tmp_path / "ml", TRAIN, {"rate": "1"})
    ml.chmod(0o700)

    docker("run", "--rm", f"--volume={ml}:/opt/ml", image, "train")

    assert (ml / "model" / "model.txt").read_text() == "1.0 seven"


def test_a_script_can_install_packages_under_any_user(engine: Engine, tmp_path: Path) -> None:
    image = builds.ensure(engine, PYTHON, "cpu", print)
    script = (
        "import subprocess, sys\n"
        "pip = [sys.executable, '-m', 'pip', 'install', '--no-index']\n"
        "subprocess.run([*pip, '/opt/ml/code/tiny-1.0-py3-none-any.whl'], check=True)\n"
        "import tiny; print('installed', tiny.word)\n"
    )
    ml = opt_ml(tmp_path / "ml", script, {})
    with zipfile.ZipFile(ml / "code" / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", "word = 'yes'\n")
        about = "tiny-1.0.dist-info"
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    (ml / "code" / "tiny-1.0-py3-none-any.whl").chmod(0o644)

    assert "installed yes" in docker(*as_somebody(ml), image, "train")


def test_an_endpoint_answers(engine: Engine, tmp_path: Path) -> None:
    image = builds.ensure(engine, PYTHON, "cpu", print)
    ml = opt_ml(tmp_path / "ml", "", {})
    (ml / "model" / "code").mkdir()
    (ml / "model" / "code" / "inference.py").write_text(SERVE)
    (ml / "model" / "model.txt").write_text("model ")
    started = docker(*as_somebody(ml, "--detach", "--publish=127.0.0.1::8080"), image, "serve")
    try:
        address = docker("port", started.strip(), "8080").strip()

        # It answers before its workers are there, as AWS's does: Unhealthy, then Partial Healthy.
        end = time.monotonic() + 180
        while b'"Healthy"' not in (said := answer(f"http://{address}/ping")):
            assert time.monotonic() < end, said
            time.sleep(0.1)
        assert answer(f"http://{address}/invocations", b"says") == b"model says"
    finally:
        docker("stop", started.strip())


def answer(url: str, body: bytes | None = None) -> bytes:
    """Of a server that may still be starting."""
    end = time.monotonic() + 180
    while True:
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "text/plain"})
            with urllib.request.urlopen(request, timeout=10) as got:
                return bytes(got.read())
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("program", ["train", "serve"])
def test_both_programs_are_on_the_path_and_python_is_ours(engine: Engine, program: str) -> None:
    image = builds.ensure(engine, PYTHON, "cpu", print)

    where = docker("run", "--rm", image, "sh", "-c", f"which {program} python; pwd")

    assert where.split() == [f"/usr/local/bin/{program}", "/opt/venv/bin/python", "/"]


def test_an_image_says_what_it_is(engine: Engine) -> None:
    builds.ensure(engine, PYTHON, "cpu", print)

    found = {image.tag: image for image in builds.listed(engine)}["sagedock/python:3.11-cpu"]

    assert (found.family, found.device, found.is_current) == ("python", "cpu", True)
    assert found.size_bytes > 50e6
    labels = engine.client.images.get(found.tag).labels
    assert labels[builds.FAMILY] == "python"
    assert labels[builds.TOOLKIT]
    assert labels[builds.RECIPE]


def test_what_is_current_is_not_built_again(engine: Engine) -> None:
    builds.ensure(engine, PYTHON, "cpu", print)
    told: list[str] = []

    builds.ensure(engine, PYTHON, "cpu", told.append)

    assert told == []


def own_python(family: Callable[[str], ImageFamily]) -> ImageFamily:
    """The family python under a name of the test's."""
    return dataclasses.replace(
        PYTHON, name=family("FROM scratch\n").name, folder=None, repositories=("sagedock/test",)
    )


def test_a_changed_toolkit_is_in_the_image_without_anything_installed_again(
    engine: Engine,
    family: Callable[[str], ImageFamily],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = own_python(family)
    tag = builds.ensure(engine, own, "cpu", print)
    before = engine.client.images.get(tag)
    changed = tmp_path / "sagedock_toolkit" / "__init__.py"
    shutil.copytree(ToolkitSource()._package, changed.parent)
    changed.write_text("word = 'changed'\n")
    real = ToolkitSource.files
    monkeypatch.setattr(
        ToolkitSource,
        "files",
        lambda self: {**real(self), "sagedock_toolkit/__init__.py": changed},
    )

    told: list[str] = []
    builds.ensure(engine, own, "cpu", told.append)

    look = "import sagedock_toolkit; print(sagedock_toolkit.word)"
    assert docker("run", "--rm", tag, "python", "-c", look) == "changed\n"
    after = engine.client.images.get(tag)
    assert after.id != before.id
    assert not [line for line in told if "venv" in line and "compileall" not in line]
    assert before.id not in {image["Id"] for image in engine.client.api.images()}


def test_an_image_that_cannot_be_built_anew_gets_this_toolkit(
    engine: Engine, family: Callable[[str], ImageFamily]
) -> None:
    """A bundle of another sagedock's, on a machine without base image and indexes."""
    own = family("FROM sagedock/python:3.11-cpu\nLABEL old=1\n")
    builds.ensure(engine, PYTHON, "cpu", print)
    tag = builds.build(engine, own, "cpu", print)
    assert own.folder is not None
    (own.folder / "own" / "Dockerfile").write_text("FROM nothing/there:1\n")
    told: list[str] = []

    assert builds.ensure(engine, own, "cpu", told.append) == tag

    assert any("is kept, with this sagedock's toolkit" in line for line in told)
    assert engine.client.images.get(tag).labels["old"] == "1"
    told.clear()
    builds.ensure(engine, own, "cpu", told.append)
    assert told == [], "one try is enough"


def test_threads_that_want_an_image_at_once_build_it_once(
    engine: Engine, family: Callable[[str], ImageFamily]
) -> None:
    own, told = family("FROM sagedock/python:3.11-cpu\nRUN true\n"), list[str]()
    builds.ensure(engine, PYTHON, "cpu", print)

    with ThreadPoolExecutor(4) as pool:
        tags = list(pool.map(lambda _: builds.ensure(engine, own, "cpu", told.append), range(4)))

    assert set(tags) == {own.engine_tag("cpu")}
    assert len([line for line in told if line.startswith("Building")]) == 1


def test_a_step_that_fails_is_told_with_its_own_last_words(
    engine: Engine, family: Callable[[str], ImageFamily], builder: str
) -> None:
    broken = family("FROM sagedock/python:3.11-cpu\nRUN echo the reason >&2 && exit 3\n")
    builds.ensure(engine, PYTHON, "cpu", print)

    with pytest.raises(RunFailedToStart, match=r"step `RUN echo the reason.*: the reason\. A bu"):
        builds.build(engine, broken, "cpu", print)


def test_a_missing_base_image_is_told_with_what_to_do(engine: Engine, builder: str) -> None:
    with pytest.raises(RunFailedToStart) as refused:
        builds.build(engine, PYTHON, "cpu", print, base="nothing/there:1")

    said = str(refused.value)
    assert "`docker pull nothing/there:1`" in said
    assert "SAGEDOCK_BASE_IMAGE" in said
    assert "--base" in said


def test_both_builders_take_our_dockerfile_and_tell_its_steps(
    engine: Engine, family: Callable[[str], ImageFamily], builder: str
) -> None:
    own, told = own_python(family), list[str]()

    tag = builds.build(engine, own, "cpu", told.append, no_cache=True)

    assert any("RUN python3 -m venv" in line for line in told)
    assert docker("run", "--rm", tag, "sh", "-c", "command -v train").strip().endswith("train")
    subprocess.run(["docker", "image", "rm", "--force", tag], capture_output=True, check=False)


def test_images_travel_in_one_file(engine: Engine, tmp_path: Path) -> None:
    tag = builds.ensure(engine, PYTHON, "cpu", print)
    file = tmp_path / "bundle.tar.gz"

    assert bundles.save(engine, [PYTHON], file, print) == [tag]
    assert bundles.load(engine, file, print) == [tag]

    assert file.read_bytes()[:2] == b"\x1f\x8b"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle.tar.gz"]


def test_a_bundle_of_one_image_leaves_the_others_out(engine: Engine, tmp_path: Path) -> None:
    tag = builds.ensure(engine, PYTHON, "cpu", print)
    home = ["--home", str(tmp_path), "save", str(tmp_path / "x.tar")]

    told = subprocess.run(
        [sys.executable, "-m", "sagedock", "images", *home, "python-cpu"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == [tag]


def test_what_cannot_be_saved_or_loaded_is_told(
    engine: Engine, family: Callable[[str], ImageFamily], tmp_path: Path
) -> None:
    with pytest.raises(StartupError, match=r"nothing to save: .* sagedock images build test-"):
        bundles.save(engine, [family("FROM scratch\n")], tmp_path / "x.tar", print)
    builds.ensure(engine, PYTHON, "cpu", print)
    with pytest.raises(StartupError, match=r"nowhere/x\.tar cannot be written: .* MB free"):
        bundles.save(engine, [PYTHON], tmp_path / "nowhere" / "x.tar", print)
    with pytest.raises(StartupError, match="cannot be read: No such file"):
        bundles.load(engine, tmp_path / "none.tar", print)
    (tmp_path / "broken.tar").write_bytes(b"no archive " * 1000)
    with pytest.raises(StartupError, match=r"The engine does not take .*broken\.tar"):
        bundles.load(engine, tmp_path / "broken.tar", print)


def test_ctrl_c_ends_a_build_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    builds.ensure(engine, PYTHON, "cpu", print)
    name, mark = f"test-{os.getpid()}-slow", f"sleep 3{os.getpid()}"
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "Dockerfile").write_text(
        f"FROM sagedock/python:3.11-cpu\nRUN echo begun && {mark}\n"
    )
    table = f'[family.{name}.docker]\ncpu = "slow/Dockerfile"\n'
    (tmp_path / "images.toml").write_text(table)
    command = [sys.executable, "-m", "sagedock", "images", "--home", str(tmp_path), "build", name]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "sleep" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()

    assert process.returncode == 1
    assert "Traceback" not in rest
    assert [image.tag for image in builds.listed(engine, ImageTable.builtin().families)]
    assert name not in docker("images")
    wait_for(lambda: subprocess.check_output(["ps", "ax"], text=True), lambda ps: mark not in ps)


def test_the_context_holds_what_the_dockerfile_copies_and_no_more() -> None:
    context = build_context.BuildContext.of(MXNET, "cpu")

    names = {*context.own, *context.shared}

    assert {"mxnet/Dockerfile.cpu", "programs/train", "programs/serve"} <= names
    assert "mxnet/toolkit/sagedock_toolkit/__main__.py" in names
    assert "mxnet/toolkit/sagedock_toolkit.pth" in names
    assert not [name for name in names if name.endswith(".pyc")]
