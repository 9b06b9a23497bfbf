"""What the pages list is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT, fences, links
from sagedock import Settings
from sagedock.cli import COMMANDS
from sagedock.cli.operations import markdown
from sagedock.domain.images import ImageTable

LANGUAGES = {"sh", "python", "text", "json", "yaml", "toml"}
LINKED = (
    *PAGES,
    ROOT / "CHANGELOG.md",
    ROOT / "runtime" / "README.md",
    ROOT / "runtime" / "DECISIONS.md",
    ROOT / "containers" / "README.md",
    ROOT / "examples" / "byo-sklearn" / "README.md",
)
OWN_VARIABLES = re.compile(r"SAGEDOCK_[A-Z0-9_]+")
BETWEEN_THE_SIDES = ROOT / "containers" / "README.md"


def text_of(*pages: Path) -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_explained_with_its_default(name: str) -> None:
    default = Settings.model_fields[name].default
    default = "HOME/frameworks" if name == "frameworks" else default
    row = f"| `SAGEDOCK_{name.upper()}` | `{default}` |"
    assert row in text_of(ROOT / "docs" / "settings.md")


def test_no_page_names_a_variable_that_nothing_reads() -> None:
    sources = [
        *(ROOT / "runtime").rglob("*.py"),
        *(ROOT / "containers").rglob("*.py"),
        *(ROOT / "examples").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
    ]
    read = set(OWN_VARIABLES.findall(text_of(*sources)))
    settings = {f"SAGEDOCK_{name.upper()}" for name in Settings.model_fields}
    named = set(OWN_VARIABLES.findall(text_of(*LINKED)))
    assert named <= read | settings | {"SAGEDOCK_NAME"}, sorted(named - read - settings)


def test_every_variable_of_the_toolkit_is_explained() -> None:
    toolkit = ROOT / "containers" / "mxnet" / "toolkit" / "sagedock_toolkit"
    read = set(re.findall(r'"(SAGEDOCK_[A-Z_]+)"', text_of(*toolkit.rglob("*.py"))))
    told = text_of(BETWEEN_THE_SIDES, ROOT / "docs" / "settings.md")
    missing = [name for name in read if name not in told]
    assert not missing, sorted(missing)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_shown(name: str) -> None:
    assert f"sagedock {name}" in text_of(*PAGES)


def test_the_table_of_operations_is_the_emulator_s() -> None:
    page = text_of(ROOT / "runtime" / "README.md")
    assert markdown() in page, "write the output of `sagedock operations --markdown` into it"


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in links(page) if not (page.parent / target).exists()]
    assert not broken


def test_the_counts_of_the_readme_are_the_emulator_s() -> None:
    readme = text_of(ROOT / "README.md")
    counts = {
        name: int(count) for name, count in re.findall(r"^\| (\S+) \((\d+)\) \|", markdown(), re.M)
    }
    identity = counts["sts"] + counts["iam"]
    told = re.findall(r"\| (\d+)(?: operations)? \|$", readme, re.M)
    order = ("sagemaker", "sagemaker-runtime", "s3", "logs", "cloudwatch")
    assert told == [str(number) for number in (*(counts[name] for name in order), identity)]


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len(text_of(ROOT / "README.md").splitlines()) <= 170


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_fence_says_what_it_is(page: Path) -> None:
    unknown = [
        f"line {f.line}: {f.language!r}" for f in fences(page) if f.language not in LANGUAGES
    ]
    assert not unknown


def test_the_image_table_of_the_page_is_one(tmp_path: Path) -> None:
    (table,) = [f for f in fences(ROOT / "docs" / "images.md") if f.language == "toml"]
    (tmp_path / "images.toml").write_text(table.text, encoding="utf-8")
    (tmp_path / "torch").mkdir()
    for name in ("requirements.txt", "Dockerfile"):
        (tmp_path / "torch" / name).touch()

    images = ImageTable.read(tmp_path / "images.toml")

    assert images.resolve("pytorch-training:2.1.0-cpu-py310").framework == "torch"
    assert images.resolve("registry.example.com/mxnet-patched:7").version == "1.9.0"


def test_what_enforces_a_rule_exists() -> None:
    told = text_of(ROOT / "CONTRIBUTING.md")
    tests = text_of(*(ROOT / "tests").rglob("test_*.py"))
    names = re.findall(r"`(test_\w+)`", told)
    places = re.findall(r"`(tests/[\w./]+)`", told)
    assert names
    assert [name for name in names if f"def {name}(" not in tests] == []
    assert [place for place in places if not (ROOT / place).exists()] == []
