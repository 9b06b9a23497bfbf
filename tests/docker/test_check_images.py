"""sagedock check --image on a real engine: each defect is found by its rule, and no clean image
yields anything."""

from __future__ import annotations

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
from sagedock.check.rule import Rule
from sagedock.check.rules import RULES
from sagedock.cli import main
from sagedock.domain.images import ImageTable

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
IMAGE_RULES = [rule for rule in RULES if rule.kind == "image"]
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
def test_a_defect_is_found_by_its_rule_and_by_no_other(case: Case, image: Make) -> None:
    findings = found(image(case.text), *shlex.split(case.head("options")))
    assert {finding["rule"] for finding in findings} == set(case.head("finds").split())


@pytest.mark.parametrize("case", IMAGES_CLEAN, ids=lambda case: case.name)
def test_a_clean_image_yields_nothing(case: Case, image: Make) -> None:
    assert found(image(case.text), *shlex.split(case.head("options"))) == []


@pytest.mark.parametrize("rule", IMAGE_RULES, ids=lambda rule: rule.id)
def test_the_examples_of_a_rule_are_true(rule: Rule[Any], image: Make) -> None:
    instance_type = rule.example.instance_type
    options = ("--instance-type", instance_type) if instance_type else ()
    failing, passing = image(rule.failing), image(rule.passing)
    assert {finding["rule"] for finding in found(failing, *options)} == {rule.id}
    assert found(passing, *options) == []


@pytest.mark.parametrize("name", ["mxnet", "python"])
def test_our_own_images_are_clean(name: str, engine: Engine) -> None:
    family = ImageTable.builtin().family(name)
    builds.ensure(engine, family, "cpu", print)
    assert found(family.engine_tag("cpu")) == []


@pytest.mark.slow
def test_the_example_of_a_container_of_one_s_own_is_clean(engine: Engine) -> None:
    example = str(ROOT / "examples" / "byo-sklearn")
    subprocess.run(["docker", "build", "--quiet", "--tag", BYO, example], check=True)
    assert found(BYO) == []


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
    assert engine.client.containers.list(all=True, filters=mine) == []


def test_the_report_says_what_it_looked_at(image: Make) -> None:
    name = image(next(case for case in IMAGES_CLEAN if case.name == "image_that_trains").text)
    assert check("--image", name).stdout == "No findings: 12 of 13 rules on 1 image.\n"
    target = json.loads(check("--image", name, "--format", "json").stdout)["target"]
    assert target["image"]["name"] == name
    assert target["image"]["programs"] == ["train"]
