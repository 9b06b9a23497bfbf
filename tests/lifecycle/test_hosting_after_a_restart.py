"""What a successor makes of the endpoints that its emulator left behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lifecycle.house import House
from requests_as_sdks_send import wait_for
from sagedock.domain.states import DELETING, SYSTEM_UPDATING
from sagedock.store.runs import RunRecord
from scripted import Play

ARN = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/dock"


@pytest.fixture
def first(tmp_path: Path) -> House:
    """Of whom the test makes a successor, who is closed."""
    return House(tmp_path)


def in_service(house: House) -> Play:
    play = house.backend.expect("serve").serves()
    house.deploy()
    house.settled()
    return play


@contextmanager
def adopted(after: House) -> Iterator[House]:
    try:
        after.adopt()
        yield after
    finally:
        after.close()


def test_a_server_that_outlived_the_restart_goes_on_serving(first: House) -> None:
    play = in_service(first)
    with adopted(first.left()) as after:
        wait_for(after.servers, lambda servers: bool(servers == [1]))
        assert after.endpoints.get("dock").status == "InService"
        assert len(after.backend.specs) == 1
        assert play.runs[0].wait(0) is None


def test_an_adopted_server_that_dies_is_started_again(first: House) -> None:
    play = in_service(first)
    with adopted(first.left()) as after:
        wait_for(after.servers, lambda servers: bool(servers == [1]))
        again = after.backend.expect("serve").serves()
        play.runs[0].close()
        again.wait_until_started()
        wait_for(after.servers, lambda servers: bool(servers == [1]))


def test_a_server_that_is_gone_is_started_again_as_system_update(first: House) -> None:
    play = in_service(first)
    after = first.left()
    play.runs[0].close()
    again = after.backend.expect("serve").waits().serves()
    with adopted(after):
        again.wait_until_started()
        assert after.endpoints.get("dock").status == SYSTEM_UPDATING
        assert after.route().status == SYSTEM_UPDATING
        again.goes_on()
        assert after.settled().status == "InService"
        assert after.servers() == [1]


def test_before_it_is_adopted_an_endpoint_is_known_to_invocations(first: House) -> None:
    in_service(first)
    after = first.left()
    after.hosting.announce(after.endpoints.find())
    assert after.route().status == "InService"
    assert after.servers() == []
    after.adopt()
    after.settled()
    after.close()


def test_an_endpoint_that_was_creating_is_created_from_the_start(first: House) -> None:
    play = first.backend.expect("serve").waits()
    first.deploy()
    run = play.wait_until_started()
    after = first.left()
    after.runs.add(RunRecord(run.id, ARN, "v0", {"config": "one", "stream": "s", "folder": "f"}))
    after.backend.expect("serve").serves()
    with adopted(after):
        wait_for(after.servers, lambda servers: bool(servers == [1]))
        assert run.wait(0) is not None, "the half-started server would be an orphan"


def test_an_update_that_was_interrupted_is_carried_out(first: House) -> None:
    old = in_service(first)
    first.config("next")
    after = first.left()
    after.updates("next")
    after.backend.expect("serve").serves()
    with adopted(after):
        endpoint = after.settled()
        assert endpoint.config_name == "next"
        wait_for(lambda: old.runs[0].wait(0), lambda code: code is not None)


def test_an_interrupted_update_of_an_endpoint_whose_server_is_gone_rolls_back(first: House) -> None:
    play = in_service(first)
    first.config("next")
    after = first.left()
    play.runs[0].close()
    after.updates("next")
    after.backend.expect("serve").prints("broken").exits(1)
    after.backend.expect("serve").serves()
    with adopted(after):
        endpoint = after.settled()
        assert (endpoint.config_name, after.servers()) == ("one", [1])
        assert "broken" in (endpoint.failure_reason or "")


def test_servers_of_an_unfinished_update_are_ended(first: House) -> None:
    in_service(first)
    play = first.backend.expect("serve").serves()
    first.config("next")
    first.hosting.update(first.updates("next"))
    first.settled()
    half = play.runs[0]
    after = first.left()
    record = next(r for r in after.runs.of(ARN) if r.id == half.id)
    after.runs.add(RunRecord(half.id, ARN, "v0", {**record.details, "config": "never finished"}))
    after.backend.expect("serve").serves()
    with adopted(after):
        wait_for(after.servers, lambda servers: bool(servers == [1]))
        assert half.wait(0) is not None


def test_wanted_weights_are_not_forgotten(first: House) -> None:
    in_service(first)
    first.supervisor.closing.set()  # the emulator dies before its keeper gets to it
    first.hosting.leave_all()
    assert first.supervisor.join(10) == []
    first.hosting.set_weights(first.updates(), {"v0": (7.0, None)})
    with adopted(first.left()) as after:
        assert after.settled().variants[0].current_weight == 7
        assert after.route().variants[0].weight == 7


def test_an_endpoint_that_was_being_deleted_goes(first: House) -> None:
    run = in_service(first).runs[0]
    endpoint = first.endpoints.get("dock")
    first.endpoints.save(endpoint.moved_to(DELETING, endpoint.modified))
    with adopted(first.left()) as after:
        wait_for(after.is_gone, bool)
        assert run.wait(0) is not None


def test_a_failed_endpoint_stays_failed(first: House) -> None:
    first.backend.expect("serve").exits(1)
    first.deploy()
    first.settled("Failed")
    with adopted(first.left()) as after:
        assert after.route().status == "Failed"
        assert after.endpoints.get("dock").status == "Failed"
        assert len(after.backend.specs) == 1


def test_an_endpoint_whose_configuration_was_deleted_meanwhile_says_so(first: House) -> None:
    play = in_service(first)
    first.configs.delete("one")
    with adopted(first.left()) as after:
        reason = after.settled("Failed").failure_reason
        assert reason == 'Could not find endpoint configuration "one".'
        assert play.runs[0].wait(0) is not None


def test_the_end_of_the_emulator_fails_no_endpoint_that_is_coming_up(house: House) -> None:
    play = house.backend.expect("serve").waits()
    house.hosting = house.hosting_with(startup_seconds=600)
    house.deploy()
    play.wait_until_started()
    house.hosting.stop_all(0)
    assert house.supervisor.join(10) == []
    assert house.endpoints.get("dock").status == "Creating"


def test_the_end_of_the_emulator_interrupts_a_restart_without_failing_it(house: House) -> None:
    play = in_service(house)
    later = house.backend.expect("serve").waits()
    play.runs[0].close()
    later.wait_until_started()
    house.hosting.stop_all(0)
    assert house.supervisor.join(5) == []
    assert house.endpoints.get("dock").status == "InService"
