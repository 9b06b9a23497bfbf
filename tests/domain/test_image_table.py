"""The table of image families, and what a user's images.toml adds to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagedock.domain.families import DEVICES, ImageFamily
from sagedock.domain.images import FAMILIES, MXNET, ImageTable
from sagedock.errors import ImageNotFound, StartupError

TORCH = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.0.0-cpu-py310"


def table(folder: Path, text: str) -> ImageTable:
    (folder / "images.toml").write_text(text, encoding="utf-8")
    return ImageTable.read(folder / "images.toml")


def test_without_a_file_there_are_the_built_in_families(tmp_path: Path) -> None:
    assert ImageTable.read(tmp_path / "images.toml").families == FAMILIES
    assert [family.name for family in FAMILIES] == ["mxnet", "python"]


def test_every_device_has_an_image_of_its_own_or_the_one_for_the_cpu() -> None:
    python = ImageTable.builtin().family("python")

    assert MXNET.engine_tag("cpu") == "sagedock/mxnet:1.9.1-cpu"
    assert MXNET.engine_tag("gpu") == "sagedock/mxnet:1.9.1-gpu"
    assert python.engine_tag("gpu") == python.engine_tag("cpu") == "sagedock/python:3.11-cpu"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_stands_for_its_own_engine_images(family: ImageFamily) -> None:
    for device in DEVICES:
        asked = ImageTable.builtin().resolve(family.engine_tag(device))
        assert asked.framework == family.name


def test_a_further_family_is_a_table_row_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "torch.txt").write_text("torch==2.0.0\n")
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "Dockerfile").write_text("FROM scratch\n")
    images = table(
        tmp_path,
        """
        [family.torch]
        release = "2.0.0"
        repositories = ["pytorch-training", "pytorch-inference"]
        versions = ["1.13.1", "2.0.0"]
        [family.torch.environment]
        requirements = [{ python = "3.10", file = "torch.txt" }]
        [family.torch.docker]
        cpu = "torch/Dockerfile"
        """,
    )

    asked = images.resolve(TORCH)
    torch = images.family(asked.framework)

    assert (asked.framework, asked.version) == ("torch", "2.0.0")
    assert torch.environment.pythons == ("3.10",)
    assert torch.engine_tag("gpu") == "sagedock/torch:2.0.0-cpu"
    assert images.resolve("mxnet-training:1.9.0-cpu-py38").framework == "mxnet"


def test_a_row_leads_a_name_to_a_local_image(tmp_path: Path) -> None:
    images = table(tmp_path, '[[image]]\nuri = "*/pytorch-training:*"\nrun = "mine:1"\n')

    assert images.local(TORCH) == "mine:1"
    assert images.local("mxnet-training:1.9.0-cpu-py38") is None
    with pytest.raises(ImageNotFound, match="'mine:1' is an image of a Docker engine"):
        images.resolve(TORCH)


def test_a_row_leads_a_name_to_a_family_and_its_version(tmp_path: Path) -> None:
    row = '[[image]]\nuri = "*/our-mxnet:*"\nrun = "sagedock/mxnet:1.2.1"\n'
    asked = table(tmp_path, row).resolve("registry.example.com/our-mxnet:7")

    assert (asked.framework, asked.version) == ("mxnet", "1.2.1")


def test_the_first_row_that_fits_wins_also_over_families(tmp_path: Path) -> None:
    rows = "".join(
        f'[[image]]\nuri = "{uri}"\nrun = "{run}"\n'
        for uri, run in (("*mxnet-training:1.9*", "first:1"), ("*mxnet*", "second:1"))
    )
    images = table(tmp_path, rows)

    assert images.local("mxnet-training:1.9.0-cpu-py38") == "first:1"
    assert images.local("sagemaker-mxnet:1.2-cpu-py2") == "second:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[family", "is not TOML: .*Mend that place"),
        ("[families.x]", "families means nothing. Known here: family, image"),
        ("[[image]]\nuri = 'x'", r"image\[1\].run is missing"),
        ("[[image]]\nuri = 'x'\nrun = ''", r"image\[1\].run is '': it must not be empty"),
        ("[image]\nuri = 'x'", r"image is \{'uri': 'x'\}: it has to be a list"),
        ("[family.x]\nversions = '1.0'", r"family.x.versions is '1.0': it has to be a list"),
        ("[family.x]\nversions = [1.0]", "family.x.versions is 1.0: every entry is a string"),
        ("[family.x]\ndefault_version = '2'", "family.x.default_version is '2': name one of"),
        ("[family.x]\nrelease = 'a b'", "family.x.release is 'a b': it becomes a tag"),
        ("[family.X]", "family.X is 'X': a name has small letters"),
        ("[family.x.docker]\ncpu = 'no'", "family.x.docker.cpu is 'no': there is no such file in"),
        (
            "[family.x.docker]\ncpu = 'images.toml'",
            "takes its whole folder: give it one of its own",
        ),
        ("[family.x.docker]\ntpu = 'no'", "family.x.docker.tpu means nothing. Known here: cpu, g"),
        ("[family.x.environment]\nrequirements = ['a']", 'entries as { python = "3.11", file'),
        ("[family.mxnet]", "which is the family mxnet's. Name the family otherwise"),
        ("[family.x]\nrepositories = ['mxnet-training']", "'mxnet-training', which is the family"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused_with_file_key_and_way_out(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(StartupError, match=said) as refused:
        table(tmp_path, text)

    assert str(tmp_path / "images.toml") in str(refused.value)


def test_a_table_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_bytes(b"\xff\xfe")

    with pytest.raises(StartupError, match="cannot be read"):
        ImageTable.read(tmp_path / "images.toml")
