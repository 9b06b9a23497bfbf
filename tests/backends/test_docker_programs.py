"""What an image is to run, and cannot: refused by name, with the way out, and nothing is left."""

from __future__ import annotations

import struct

import pytest

from backends.byo import Maker, containers_of
from backends.stages import DockerStage
from requests_as_sdks_send import PATIENCE
from sagedock.errors import ImageNotFound, RunFailedToStart

pytestmark = pytest.mark.docker

MACHINES = {"amd64": 62, "arm64": 183}


def elf(machine: int) -> bytes:
    """The head of a program for a machine, and nothing behind it."""
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400000, 64, 0, 0, 64, 56, 0, 64, 0, 0)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + head


def refusal(stage: DockerStage, image: str, **wishes: object) -> str:
    """Why a run of `train` in that image does not start, and that it leaves nothing."""
    with pytest.raises(RunFailedToStart) as refused:
        stage.start(None, image=image, **wishes)
    assert containers_of(stage) == []
    return str(refused.value)


def test_an_image_without_train_is_told_where_to_put_it(docker_stage: DockerStage) -> None:
    said = refusal(docker_stage, docker_stage.image)
    assert 'exec: "train": executable file not found in $PATH' in said
    assert "COPY train /usr/local/bin/" in said


def test_a_program_that_is_not_executable_is_named_with_chmod(
    docker_stage: DockerStage, byo: Maker
) -> None:
    said = refusal(docker_stage, byo.image(train=(b"#!/bin/sh\necho hi\n", 0o644)))
    assert 'exec: "train": permission denied' in said
    assert "RUN chmod +x /usr/local/bin/train" in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"#!/bin/sh\r\necho hi\r\n", ["Windows line end (CRLF)", "sed -i"]),
        (b"echo hi\n", ["exec format error", "#!/usr/bin/env python3"]),
        (b"", ["exec format error", "#!/usr/bin/env python3"]),
        (b"#!/no/such/python\n", ["no such file or directory", "'/no/such/python'"]),
        (b"#! /no/such/python -u\n", ["no such file or directory", "'/no/such/python'"]),
    ],
    ids=["crlf", "no-interpreter-line", "empty", "missing-interpreter", "with-an-argument"],
)
def test_a_program_that_the_kernel_refuses_is_named_with_its_cure(
    docker_stage: DockerStage, byo: Maker, content: bytes, words: list[str]
) -> None:
    said = refusal(docker_stage, byo.image(train=content))
    for word in ["/usr/local/bin/train", *words]:
        assert word in said


def test_a_program_for_another_machine_is_named_with_both(
    docker_stage: DockerStage, byo: Maker
) -> None:
    here = docker_stage.engine.facts.architecture
    other = "arm64" if here != "arm64" else "amd64"
    said = refusal(docker_stage, byo.image(train=elf(MACHINES[other])))
    assert "exec format error" in said
    assert f"It is a program for {other}, and this machine is {here}" in said


def test_an_entry_point_that_is_not_there_is_named(docker_stage: DockerStage, byo: Maker) -> None:
    said = refusal(docker_stage, byo.image('ENTRYPOINT ["/opt/nothing", "--train"]'))
    assert 'exec: "/opt/nothing": no such file or directory' in said
    assert "ENTRYPOINT" in said


def test_a_container_entrypoint_that_is_not_there_is_named(docker_stage: DockerStage) -> None:
    said = refusal(docker_stage, docker_stage.image, entrypoint=("not-here.sh",))
    assert 'exec: "not-here.sh": executable file not found' in said


def test_a_folder_is_no_program(docker_stage: DockerStage, byo: Maker) -> None:
    said = refusal(docker_stage, byo.image('ENTRYPOINT ["/etc"]'))
    assert 'exec: "/etc": permission denied' in said


def test_a_user_that_the_image_does_not_have_is_named(
    docker_stage: DockerStage, byo: Maker
) -> None:
    image = byo.image("USER nobodyhere", train=b"#!/bin/sh\n")
    said = refusal(docker_stage, image)
    assert "nobodyhere" in said
    assert "/etc/passwd" in said


def test_an_image_of_another_architecture_is_refused_before_it_starts(
    docker_stage: DockerStage, byo: Maker
) -> None:
    here = docker_stage.engine.facts.architecture
    other = "arm64" if here != "arm64" else "amd64"
    image = byo.foreign(other)
    said = refusal(docker_stage, image)
    assert f"{image} is for {other}, and this engine's machine is {here}" in said
    assert f"docker pull --platform linux/{here} {image}" in said


@pytest.mark.parametrize("name", ["UPPER:case", "white space", "a:b:c"])
def test_a_name_that_no_image_can_have_is_refused_by_name(
    docker_stage: DockerStage, name: str
) -> None:
    with pytest.raises((RunFailedToStart, ImageNotFound), match=name):
        docker_stage.start(None, image=name)
    assert containers_of(docker_stage) == []


def test_what_is_fine_is_run(docker_stage: DockerStage, byo: Maker) -> None:
    image = byo.image(train=b"#!/usr/bin/env python3\nprint('trained')\n")
    run = docker_stage.start(None, image=image)
    assert [line.text for line in run.lines()] == ["trained"]
    assert run.wait(PATIENCE) == 0


def test_a_program_by_a_link_and_one_below_the_working_folder_are_found(
    docker_stage: DockerStage, byo: Maker
) -> None:
    say = b"#!/bin/sh\necho from $0\n"
    linked = byo.image('ENTRYPOINT ["/bin/awk"]', "CMD []")
    relative = byo.image("WORKDIR /usr/local/bin", 'ENTRYPOINT ["./start.sh"]', **{"start.sh": say})
    arguments = ("BEGIN { print 1 }",)
    run = docker_stage.start(None, image=linked, arguments=arguments)
    assert [line.text for line in run.lines()] == ["1"]
    run = docker_stage.start(None, image=relative)
    assert [line.text for line in run.lines()] == ["from ./start.sh"]


def test_an_image_with_an_init_of_its_own_gets_no_other(
    docker_stage: DockerStage, byo: Maker
) -> None:
    image = byo.image(
        'ENTRYPOINT ["tini", "--", "train"]',
        tini=b"#!/bin/sh\nshift\necho $$\nexec $@\n",
        train=b"#!/bin/sh\necho $$\n",
    )
    run = docker_stage.start(None, image=image)
    assert [line.text for line in run.lines()] == ["1", "1"]
