"""The emulator as a library: started, found, stopped."""

from __future__ import annotations

import socket
import sqlite3
import threading
from pathlib import Path

import boto3
import pytest

from sagedock import Emulator
from sagedock.errors import EngineUnavailable, StartupError
from sagedock.settings import Settings


def test_it_listens_on_a_free_port_of_loopback_until_it_is_left(
    tmp_path: Path, frameworks: Path
) -> None:
    with Emulator(home=tmp_path, frameworks=frameworks) as dock:
        assert dock.url.startswith("http://127.0.0.1:")
        account = boto3.client("sts", **dock.client_kwargs).get_caller_identity()["Account"]
        assert account == "000000000000"
        port = int(dock.url.rpartition(":")[2])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert not (tmp_path / "address.json").exists()


def test_it_can_be_started_again_on_its_home(tmp_path: Path, frameworks: Path) -> None:
    for bucket in ("first", "second"):
        with Emulator(home=tmp_path, frameworks=frameworks) as dock:
            boto3.client("s3", **dock.client_kwargs).create_bucket(Bucket=bucket)
    with Emulator(home=tmp_path, frameworks=frameworks) as dock:
        buckets = boto3.client("s3", **dock.client_kwargs).list_buckets()["Buckets"]
        assert [bucket["Name"] for bucket in buckets] == ["first", "second"]


def test_two_emulators_with_two_homes_do_not_meet(tmp_path: Path, frameworks: Path) -> None:
    with (
        Emulator(home=tmp_path / "a", frameworks=frameworks) as one,
        Emulator(home=tmp_path / "b", frameworks=frameworks) as two,
    ):
        boto3.client("s3", **one.client_kwargs).create_bucket(Bucket="only-here")
        assert boto3.client("s3", **two.client_kwargs).list_buckets()["Buckets"] == []


def test_two_emulators_on_one_home_are_refused(tmp_path: Path, frameworks: Path) -> None:
    with (
        Emulator(home=tmp_path, frameworks=frameworks) as dock,
        pytest.raises(StartupError, match="Another sagedock uses the home") as caught,
    ):
        Emulator(home=tmp_path, frameworks=frameworks).start()
    assert dock.settings.home == tmp_path
    assert "http://127.0.0.1:" in str(caught.value)


def test_a_port_that_is_taken_is_named_and_the_home_is_free_again(
    tmp_path: Path, frameworks: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StartupError, match=f"Port {port} is taken.* --port"):
            Emulator(home=tmp_path, frameworks=frameworks, port=port).start()
    with Emulator(home=tmp_path, frameworks=frameworks):
        pass


def test_a_home_of_a_newer_sagedock_is_refused(tmp_path: Path, frameworks: Path) -> None:
    with Emulator(home=tmp_path, frameworks=frameworks):
        pass
    database = sqlite3.connect(tmp_path / "sagedock.db")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StartupError, match="written by a newer sagedock"):
        Emulator(home=tmp_path, frameworks=frameworks).start()


def test_its_address_before_the_start_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="not running"):
        _ = Emulator(home=tmp_path).url


def test_settings_and_keywords_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        Emulator(Settings.read({}, home=tmp_path), port=1)


def test_docker_without_an_engine_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with pytest.raises(StartupError, match=r"No Docker engine answers .* --backend process"):
        Emulator(home=tmp_path, backend="docker").start()


def test_auto_means_processes_where_no_engine_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with Emulator(home=tmp_path, backend="auto") as dock:
        assert dock.backend_name == "process"


def test_auto_says_when_there_is_an_engine_that_this_user_may_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise EngineUnavailable("it is there, and not for you.", is_there=True)

    monkeypatch.setattr("sagedock.backends.docker.backend.connected", forbidden)
    with Emulator(home=tmp_path, backend="auto") as dock:
        assert dock.backend_name == "process"
    assert "it is there, and not for you." in caplog.text


def test_it_leaves_no_threads_behind(tmp_path: Path, frameworks: Path) -> None:
    before = set(threading.enumerate())
    with Emulator(home=tmp_path, frameworks=frameworks) as dock:
        boto3.client("s3", **dock.client_kwargs).list_buckets()
    left = [thread.name for thread in set(threading.enumerate()) - before]
    pools = ("asyncio", "ThreadPool", "AnyIO", "objects")  # idle, and their owners' business
    assert not [name for name in left if not name.startswith(pools)]


def test_stopping_twice_is_no_error(tmp_path: Path, frameworks: Path) -> None:
    dock = Emulator(home=tmp_path, frameworks=frameworks)
    dock.start()
    dock.stop()
    dock.stop()
