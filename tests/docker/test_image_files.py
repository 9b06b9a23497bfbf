"""What the emulator's image and docker-compose.yml are written from, compared with the project."""

from __future__ import annotations

import re
from pathlib import Path

from sagedock.backends.docker.surroundings import place_of
from sagedock.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
LEFT_OUT = {"uv", "numpy", "pillow", "tomli"}
"""As the Dockerfile says; tomli is for Pythons that the image has not."""


def names(text: str) -> set[str]:
    """Package names at the beginning of lines, as indexes spell them."""
    found = re.findall(r"^\s*\"?([A-Za-z][\w.-]*)\s*(?:==|>=)", text, re.MULTILINE)
    return {name.lower().replace("_", "-") for name in found}


def test_the_image_has_every_dependency_but_those_left_out() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = names(project.partition("dependencies = [")[2].partition("]\n")[0])
    pinned = names((ROOT / "runtime" / "requirements.txt").read_text(encoding="utf-8"))

    assert wanted - pinned == LEFT_OUT
    assert not pinned & LEFT_OUT


def test_every_setting_can_be_set_through_compose_but_folders() -> None:
    settable = set(re.findall(r"^    SAGEDOCK_(\w+):", COMPOSE, re.MULTILINE))

    assert {name.upper() for name in Settings.model_fields} - settable == {"FRAMEWORKS"}


def test_every_variable_of_compose_is_explained_in_the_example() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert [name for name in sorted(read) if f"# {name}=" not in example] == []


def test_nothing_is_published_beyond_loopback() -> None:
    published = re.findall(r'- "(.*):\d+"$', COMPOSE, re.MULTILINE)

    assert len(published) == 2
    assert all(address.startswith("127.0.0.1:") for address in published)


def test_two_homes_of_one_name_in_two_containers_are_not_each_other_s() -> None:
    home, first, second = Path("/state"), mounted("a"), mounted("b")

    assert place_of(home, first) == place_of(home, {**first, "Id": "of its next life"})
    assert place_of(home, first) != place_of(home, second)
    assert place_of(home, {"Id": "1", "Mounts": []}) != place_of(home, {"Id": "2", "Mounts": []})


def mounted(volume: str) -> dict[str, object]:
    source = f"/var/lib/docker/volumes/{volume}/_data"
    return {
        "Id": volume,
        "Mounts": [{"Type": "volume", "Destination": "/state", "Source": source}],
    }
