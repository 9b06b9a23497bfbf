"""Image names as the SDKs write them, and what they resolve to."""

from __future__ import annotations

import pytest

from sagedock.domain.images import FAMILIES, ImageReference, resolve
from sagedock.errors import ImageNotFound

OLD = "520713654638.dkr.ecr.us-east-1.amazonaws.com"
DLC = "763104351884.dkr.ecr.us-west-2.amazonaws.com"

# Tags of image_uri_config/mxnet.json (SDK v2.257), and what v1.72 makes up by itself.
AWS_IMAGES = [
    (f"{OLD}/sagemaker-mxnet:1.2-gpu-py2", "1.2.1", "gpu", "py2", "both"),
    (f"{OLD}/sagemaker-mxnet:0.12.1-cpu-py3", "0.12.1", "cpu", "py3", "both"),
    (f"{OLD}/sagemaker-mxnet:1.4.0-cpu-py3", "1.4.0", "cpu", "py3", "both"),
    (f"{OLD}/sagemaker-mxnet-serving:1.4.1-cpu-py2", "1.4.1", "cpu", "py2", "inference"),
    (f"{OLD}/sagemaker-mxnet-eia:1.3.0-cpu-py3", "1.3.0", "cpu", "py3", "inference"),
    (f"{DLC}/mxnet-inference-eia:1.5.1-cpu-py3", "1.5.1", "cpu", "py3", "inference"),
    (f"{DLC}/mxnet-training:1.6.0-gpu-py3", "1.6.0", "gpu", "py3", "training"),
    (f"{DLC}/mxnet-inference:1.8.0-cpu-py37", "1.8.0", "cpu", "py37", "inference"),
    (f"{DLC}/mxnet-training:1.9.0-cpu-py38", "1.9.0", "cpu", "py38", "training"),
    (f"{DLC}/mxnet-training:1.9-cpu-py38", "1.9.0", "cpu", "py38", "training"),
    (f"{DLC}/mxnet-training:1.9.0-gpu-py3", "1.9.0", "gpu", "py3", "training"),
    (
        f"{DLC}/mxnet-training:1.9.0-gpu-py38-cu112-ubuntu20.04-sagemaker-v1.2",
        *("1.9.0", "gpu", "py38", "training"),
    ),
]


@pytest.mark.parametrize(("image", "version", "device", "python", "kind"), AWS_IMAGES)
def test_every_mxnet_image_of_the_sdks_is_mxnet(
    image: str, version: str, device: str, python: str, kind: str
) -> None:
    asked = resolve(image)

    assert asked.framework == "mxnet"
    assert (asked.version, asked.device, asked.python, asked.kind) == (
        version, device, python, kind,
    )  # fmt: skip


@pytest.mark.parametrize(
    "registry",
    [
        "422961961927.dkr.ecr.cn-north-1.amazonaws.com.cn",
        "246785580436.dkr.ecr.us-gov-west-1.amazonaws.com",
        "763104351884.dkr.ecr-fips.us-east-1.amazonaws.com",
        "localhost:5000",
        "registry.example.com",
    ],
)
def test_account_region_and_registry_do_not_matter(registry: str) -> None:
    assert resolve(f"{registry}/mxnet-training:1.7.0-cpu-py3").version == "1.7.0"


@pytest.mark.parametrize(
    ("alias", "framework", "version"),
    [
        ("sagedock/mxnet", "mxnet", "1.9.0"),
        ("sagedock/mxnet:latest", "mxnet", "1.9.0"),
        ("sagedock/mxnet:1.9.0-cpu-py38", "mxnet", "1.9.0"),
        ("sagedock/mxnet:1.2", "mxnet", "1.2.1"),
        ("sagedock/mxnet:1.9.1", "mxnet", "1.9.1"),
        ("mxnet-training@sha256:0123456789abcdef", "mxnet", "1.9.0"),
        ("sagedock/python", "python", ""),
        ("sagedock/python:latest", "python", ""),
    ],
)
def test_our_own_names_need_no_registry(alias: str, framework: str, version: str) -> None:
    asked = resolve(alias)

    assert (asked.framework, asked.version) == (framework, version)


@pytest.mark.parametrize(
    "image",
    [
        f"{DLC}/pytorch-training:2.0.0-cpu-py310",
        "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine",
        "mine:latest",
        "",
    ],
)
def test_an_image_nothing_stands_for_is_named_with_those_there_are(image: str) -> None:
    with pytest.raises(ImageNotFound) as refused:
        resolve(image)

    said = str(refused.value)
    assert repr(image) in said
    assert all(family.alias in said for family in FAMILIES)
    assert "`sagedock images`" in said


def test_a_version_that_never_was_is_refused_with_those_that_were() -> None:
    with pytest.raises(ImageNotFound, match=r"2\.0\.0-cpu-py3.* no version of mxnet.* 1\.9\.0"):
        resolve(f"{DLC}/mxnet-training:2.0.0-cpu-py3")


def test_plain_python_takes_no_tag_it_would_not_honour() -> None:
    with pytest.raises(ImageNotFound, match="has none but latest"):
        resolve("sagedock/python:3.6")


def test_parsing_tells_what_an_unknown_name_says_too() -> None:
    asked = ImageReference.parse(f"{DLC}/tensorflow-inference:2.3-gpu")

    assert (asked.repository, asked.tag) == ("tensorflow-inference", "2.3-gpu")
    assert (asked.framework, asked.device, asked.kind) == ("", "gpu", "inference")
