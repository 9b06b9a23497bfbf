"""The example of a container of one's own, run by hand as SageMaker runs it."""

from __future__ import annotations

import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sagedock.backends.docker.engine import Engine
from sagedock.errors import EngineUnavailable

pytestmark = [pytest.mark.docker, pytest.mark.slow]

EXAMPLE = Path(__file__).parents[2] / "examples" / "byo-sklearn"
IMAGE = "sagedock-test/byo-sklearn"
ROWS = "\n".join(
    f"{side},{side * 2 + x / 10},{side * 2 - x / 10}" for side in (0, 1) for x in (0, 5)
)
AS_SOMEBODY = ["--user=12345:12345", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def docker(*words: str) -> tuple[int, str]:
    told = subprocess.run(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )
    return told.returncode, told.stdout


@pytest.fixture(scope="module")
def image() -> str:
    try:
        Engine.connect().close()
    except EngineUnavailable as error:
        pytest.skip(str(error))
    code, said = docker("build", "--tag", IMAGE, str(EXAMPLE))
    assert code == 0, said
    return IMAGE


@pytest.fixture
def ml(tmp_path: Path) -> Path:
    for name in ("input/config", "input/data/train", "model", "output"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "input" / "config" / "hyperparameters.json").write_text('{"max_depth": "3"}')
    (tmp_path / "input" / "data" / "train" / "rows.csv").write_text(ROWS)
    subprocess.run(["chmod", "-R", "a+rwX", str(tmp_path)], check=True)
    tmp_path.parent.chmod(0o755)
    return tmp_path


def test_it_trains_and_answers(image: str, ml: Path) -> None:
    code, said = docker("run", "--rm", *AS_SOMEBODY, f"--volume={ml}:/opt/ml", image, "train")
    assert code == 0, said
    assert "rows=4 depth=1 accuracy=1.000" in said
    assert (ml / "model" / "tree.joblib").stat().st_uid == 12345

    publish = "--publish=127.0.0.1::8080"
    options = [*AS_SOMEBODY, publish, f"--volume={ml}:/opt/ml:ro"]
    started = docker("run", "--rm", "--detach", *options, image, "serve")[1].strip()
    try:
        address = docker("port", started, "8080")[1].strip()
        assert ask(f"http://{address}/invocations", b"0.1,0.2\n2.1,2.2\n") == "0\n1\n"
        assert ask(f"http://{address}/ping") == ""
        with pytest.raises(urllib.error.HTTPError, match="400"):
            ask(f"http://{address}/invocations", b"one,two\n")
    finally:
        assert docker("stop", started)[0] == 0


def test_its_failure_has_a_reason(image: str, ml: Path) -> None:
    (ml / "input" / "data" / "train" / "rows.csv").unlink()

    code, said = docker("run", "--rm", *AS_SOMEBODY, f"--volume={ml}:/opt/ml", image, "train")

    assert code == 1
    assert "training failed" in said
    assert (ml / "output" / "failure").read_text() == (
        "FileNotFoundError: the channel train has no .csv file"
    )


def ask(url: str, body: bytes | None = None) -> str:
    """Of a server that may still be starting; its refusals pass."""
    end = time.monotonic() + 180
    while True:
        try:
            with urllib.request.urlopen(url, body, timeout=10) as got:
                return str(got.read().decode())
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
