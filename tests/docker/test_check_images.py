"""sagedock check --image on a real engine: each defect is found by its rule, and no clean image
yields anything."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from check.cases import IMAGES_CLEAN, IMAGES_DEFECTIVE, Case, built
from sagedock.backends.docker import builds
from sagedock.backends.docker.engine import Engine
from sagedock.backends.docker.labels import CHECK
from sagedock.check.rules.catalogue import RULES
from sagedock.check.rules.hosting_rule import ImageHostingRule
from sagedock.check.rules.rule import Rule
from sagedock.cli import main
from sagedock.domain.images import ImageTable

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
IMAGE_RULES = [rule for rule in RULES if rule.kind == "image"]
SERVED_RULES = [rule for rule in RULES if isinstance(rule, ImageHostingRule)]
BYO = "sagedock-test/byo-sklearn"

Make = Callable[[str], str]


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


def found(image: str, *options: str) -> list[dict[str, Any]]:
    told = check("--image", image, *options, "--format", "json")
    assert told.exit_code in (0, 1), told.stderr
    findings: list[dict[str, Any]] = json.loads(told.stdout)["findings"]
    assert told.exit_code == any(finding["level"] != "advice" for finding in findings)
    return findings


@pytest.fixture
def image(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Make]:
    """image(dockerfile) builds it; the tag is removed with the test."""
    made: list[str] = []

    def make(dockerfile: str) -> str:
        made.append(f"sagedock-test/check-{abs(hash(request.node.nodeid)):x}:{len(made)}")
        built(dockerfile, made[-1])
        return made[-1]

    yield make
    for tag in made:
        engine.client.images.remove(tag, force=True)


@pytest.mark.parametrize("case", IMAGES_DEFECTIVE, ids=lambda case: case.name)
def test_a_defect_is_found_by_its_rule_and_by_no_other(
    case: Case, image: Make, tmp_path: Path
) -> None:
    options = (*shlex.split(case.head("options")), *case.request(tmp_path))
    findings = found(image(case.text), *options)
    assert {finding["rule"] for finding in findings} == set(case.head("finds").split())


@pytest.mark.parametrize("case", IMAGES_CLEAN, ids=lambda case: case.name)
def test_a_clean_image_yields_nothing(case: Case, image: Make, tmp_path: Path) -> None:
    options = (*shlex.split(case.head("options")), *case.request(tmp_path))
    assert found(image(case.text), *options) == []


@pytest.mark.parametrize("rule", IMAGE_RULES, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(rule: Rule[Any], image: Make) -> None:
    instance_type = rule.example.instance_type
    options = ("--instance-type", instance_type) if instance_type else ()
    failing, passing = image(rule.failing), image(rule.passing)
    assert {finding["rule"] for finding in found(failing, *options)} == {rule.id}
    assert found(passing, *options) == []


@pytest.mark.parametrize("rule", SERVED_RULES, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_on_served_images_are_true(
    rule: ImageHostingRule, image: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in rule.files.items():
        Path(name).write_text(text, encoding="utf-8")
    assert {one["rule"] for one in found(image(rule.failing), *rule.options)} == {rule.id}
    assert found(image(rule.passing), *rule.options) == []


@pytest.mark.parametrize("name", ["mxnet", "python"])
def test_our_own_images_are_clean(name: str, engine: Engine) -> None:
    family = ImageTable.builtin().family(name)
    builds.ensure(engine, family, "cpu", print)
    assert found(family.engine_tag("cpu")) == []


@pytest.mark.slow
def test_the_example_of_a_container_of_one_s_own_is_clean(engine: Engine, tmp_path: Path) -> None:
    example = str(ROOT / "examples" / "byo-sklearn")
    subprocess.run(["docker", "build", "--quiet", "--tag", BYO, example], check=True)
    assert found(BYO) == []
    assert {f["rule"] for f in found(BYO, "--instance-type", "ml.c7g.xlarge")} == {"SD701"}
    (tmp_path / "rows.csv").write_text("0,0.0,0.1\n1,2.0,2.1\n", encoding="utf-8")
    (tmp_path / "ask.csv").write_text("0.1,0.2\n2.1,2.2\n", encoding="utf-8")
    options = (
        "--channel",
        f"train={tmp_path / 'rows.csv'}",
        "--request",
        str(tmp_path / "ask.csv"),
    )
    told = check("--image", BYO, *options, "--format", "json")
    assert told.exit_code == 0, told.output
    report = json.loads(told.stdout)
    assert report["findings"] == []
    assert report["target"]["measured"]["requests"] > 20
    looked = {one["rule"] for one in report["checked"] if not one["skipped"]}
    assert {"SD401", "SD402", "SD501", "SD503"} <= looked


TRAIN = """\
#!/usr/bin/env python3
import json, pathlib
ml = pathlib.Path("/opt/ml")
given = json.loads((ml / "input/config/hyperparameters.json").read_text())
print("depth", given["depth"])
{end}
"""
SERVE = """\
#!/usr/bin/env python3
import http.server, pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
model = pathlib.Path("/opt/ml/model/net").read_text()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        {answer}

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
SAVES = '(ml / "model/net").write_text(given["depth"])'
ANSWERS = 'self.answer(200 if body.strip() else 400, model.encode() + b"," + body)'


def algorithm(end: str = SAVES, answer: str = ANSWERS) -> str:
    """A Dockerfile with both programs."""
    lines = ["FROM python:3.11-slim-bookworm"]
    for name, text in (("train", TRAIN.format(end=end)), ("serve", SERVE.format(answer=answer))):
        code = base64.b64encode(text.encode()).decode()
        path = f"/usr/local/bin/{name}"
        lines.append(f"RUN echo {code} | base64 -d > {path} && chmod +x {path}")
    return "\n".join([*lines, ""])


@pytest.mark.parametrize(
    ("dockerfile", "rules"),
    [
        (algorithm(), set()),
        (algorithm(end='raise ValueError("no data")'), {"SD401"}),
        (algorithm(end='(ml / "net").write_text("1")'), {"SD402", "SD501"}),
        (algorithm(answer='self.answer(500, b"ValueError: no")'), {"SD503"}),
    ],
    ids=["fine", "training-fails", "saves-nothing", "answers-500"],
)
def test_an_image_is_trained_and_served(
    dockerfile: str, rules: set[str], image: Make, tmp_path: Path
) -> None:
    (tmp_path / "hp.json").write_text('{"depth": 3}', encoding="utf-8")
    (tmp_path / "ask.csv").write_text("1,2\n", encoding="utf-8")
    options = ("--hyperparameters", str(tmp_path / "hp.json"))
    findings = found(image(dockerfile), *options, "--request", str(tmp_path / "ask.csv"))
    assert {finding["rule"] for finding in findings} == rules, findings


def test_what_an_entry_point_does_is_not_guessed(image: Make, tmp_path: Path) -> None:
    (case,) = (one for one in IMAGES_CLEAN if one.name == "image_with_an_entry_point")
    told = check("--image", image(case.text), "--run", "--format", "json")
    report = json.loads(told.stdout)
    assert {finding["rule"] for finding in report["findings"]} == {"SD402"}
    (why,) = {one["skipped"] for one in report["checked"] if one["rule"].startswith("SD5")}
    assert "did not end well" in why or "needs --request" in why


def test_what_is_not_there_ends_with_2_and_the_line_that_brings_it(engine: Engine) -> None:
    told = check("--image", "sagedock-test/never-built:1")
    assert told.exit_code == 2
    assert "docker pull sagedock-test/never-built:1" in told.stderr
    assert "docker build -t sagedock-test/never-built:1 ." in told.stderr
    assert check("--image", "Not A Name").exit_code == 2


def test_without_an_engine_it_ends_with_2_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    told = check("--image", "my-algo")
    assert told.exit_code == 2
    assert "No Docker engine answers at tcp://127.0.0.1:1" in told.stderr
    assert "--backend" not in told.stderr


def test_an_image_for_other_instances_than_this_machine_is_advised_of(image: Make) -> None:
    (case,) = (one for one in IMAGES_DEFECTIVE if one.name == "arm64_image_of_a_mac")
    arm = image(case.text)
    levels = [(f["rule"], f["level"]) for f in found(arm, "--instance-type", "ml.c7g.xlarge")]
    assert ("SD701", "advice") in levels
    assert ("SD701", "error") not in levels


def test_nothing_is_left_on_the_engine(engine: Engine, image: Make) -> None:
    name = image(IMAGES_CLEAN[0].text)
    found(name)
    mine = {"label": f"{CHECK}={name}"}
    assert engine.client.api.containers(all=True, filters=mine) == []


def test_the_report_says_what_it_looked_at(image: Make) -> None:
    name = image(next(case for case in IMAGES_CLEAN if case.name == "image_that_trains").text)
    assert check("--image", name).stdout == "No findings: 12 of 13 rules on 1 image.\n"
    target = json.loads(check("--image", name, "--format", "json").stdout)["target"]
    assert target["image"]["name"] == name
    assert target["image"]["programs"] == ["train"]
