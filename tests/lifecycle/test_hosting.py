"""Endpoints from creation to deletion, with model servers played by hand."""

from __future__ import annotations

import http.client
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle.house import BUCKET, House
from requests_as_sdks_send import PATIENCE, archive, wait_for
from sagedock.domain.hosting import Endpoint
from sagedock.store.database import DiskFull
from scripted import Play

TWO_SERVERS = {"InitialInstanceCount": 2}


def serving(house: House, name: str = "dock", config: str = "one") -> Play:
    """A played server, its endpoint in service."""
    play = house.backend.expect("serve").serves()
    house.deploy(name, config)
    assert house.settled(name=name).status == "InService"
    return play


def ask(house: House, name: str = "dock") -> int:
    """The status of one request to the first routed server."""
    server = house.route(name).variants[0].servers[0]
    connection = http.client.HTTPConnection(server.host, server.port, timeout=5)
    connection.request("POST", "/invocations", b"x")
    return connection.getresponse().status


def test_an_endpoint_is_creating_until_its_server_is_healthy(house: House) -> None:
    play = house.backend.expect("serve").waits().serves()
    house.deploy()
    play.wait_until_started()
    assert house.endpoints.get("dock").status == "Creating"
    assert house.servers() == []
    play.goes_on()
    endpoint = house.settled()
    assert endpoint.variants[0].current_count == 1
    assert house.servers() == [1]
    assert ask(house) == 200


def test_the_server_is_given_the_model_and_its_environment(house: House) -> None:
    house.put("model.tar.gz", archive({"weights": b"w"}))
    url = f"s3://{BUCKET}/model.tar.gz"
    house.model("mine", ModelDataUrl=url, Environment={"SAGEMAKER_PROGRAM": "s.py"})
    house.config("mine", {"ModelName": "mine"})
    run = serving(house, config="mine").runs[0]
    assert (run.outside("/opt/ml/model") / "weights").read_bytes() == b"w"
    assert run.spec.env["SAGEMAKER_PROGRAM"] == "s.py"
    assert run.spec.ports == (8080,)


def test_a_server_that_ends_at_once_fails_the_endpoint_with_its_last_words(house: House) -> None:
    house.backend.expect("serve").prints("ImportError: no module").exits(1)
    house.deploy()
    endpoint = house.settled("Failed")
    reason = endpoint.failure_reason or ""
    assert reason.startswith(
        "The primary container for production variant v0 did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )
    assert "ImportError: no module" in reason
    assert house.log("v0/", endpoint.log_group) == ["ImportError: no module"]


def test_an_endpoint_on_a_full_disk_fails_once_there_is_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def no_room(endpoint: object) -> Endpoint:
        told.set()
        raise DiskFull(Path("home/sagedock.db"))

    house.backend.expect("serve").serves()
    with monkeypatch.context() as disk:
        disk.setattr(house.endpoints, "save", no_room)
        house.deploy()
        assert told.wait(PATIENCE)
        assert house.endpoints.get("dock").status == "Creating"
    assert "There is no room left" in (house.settled("Failed").failure_reason or "")


def test_a_server_that_nothing_leads_to_fails_the_endpoint_and_is_ended(house: House) -> None:
    play = house.backend.expect("serve").is_out_of_reach("The image has no Python").waits()
    house.deploy()
    assert house.settled("Failed").failure_reason == "The image has no Python"
    assert play.runs[0].wait(PATIENCE) is not None


def test_the_route_says_which_variants_are_serverless(house: House) -> None:
    house.backend.always("serve").serves()
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 1}
    house.config("both", {}, {"VariantName": "less", "ServerlessConfig": serverless})
    house.deploy(config="both")
    house.settled()
    told = {variant.name: variant.is_serverless for variant in house.route("dock").variants}
    assert told == {"v0": False, "less": True}


def test_a_server_that_never_gets_healthy_fails_the_endpoint(house: House) -> None:
    play = house.backend.expect("serve").serves(ping=500)
    house.hosting = house.hosting_with(startup_seconds=0.2)
    house.deploy()
    assert "No healthy /ping within 0.2 s" in (house.settled("Failed").failure_reason or "")
    assert play.runs[0].wait(PATIENCE) is not None


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"ModelDataUrl": f"s3://{BUCKET}/gone.tar.gz"}, f"s3://{BUCKET}/gone.tar.gz"),
        ({"ModelDataUrl": f"s3://{BUCKET}/damaged.tar.gz"}, "no readable gzip tar archive"),
        ({"Image": "nobody/nothing:1"}, "nobody/nothing:1"),
    ],
)
def test_what_cannot_be_staged_fails_the_endpoint(
    house: House, container: dict[str, str], words: str
) -> None:
    house.put("damaged.tar.gz", archive({"weights": b"w" * 1000})[:60])
    house.model("mine", **container)
    house.config("mine", {"ModelName": "mine"})
    house.deploy(config="mine")
    assert words in (house.settled("Failed").failure_reason or "")
    assert house.backend.specs == []


def test_a_configuration_that_was_deleted_fails_the_endpoint(house: House) -> None:
    house.config("one")
    house.configs.delete("one")
    house.hosting.create(stored(house, "one"))
    reason = house.settled("Failed").failure_reason
    assert reason == 'Could not find endpoint configuration "one".'


def stored(house: House, config: str) -> Endpoint:
    house.config("other")
    endpoint = Endpoint(
        name="dock",
        arn="arn:aws:sagemaker:us-east-1:000000000000:endpoint/dock",
        created=house.configs.get("other").created,
        modified=house.configs.get("other").created,
        request={},
        config_name=config,
    )
    return house.endpoints.add(endpoint)


def test_uncompressed_model_data_is_staged_as_it_is(house: House) -> None:
    house.put("models/v1/a/weights", b"w")
    house.put("models/v10/other", b"o")
    source = {
        "S3Uri": f"s3://{BUCKET}/models/v1/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    house.model("mine", ModelDataSource={"S3DataSource": source})
    house.config("mine", {"ModelName": "mine"})
    folder = serving(house, config="mine").runs[0].outside("/opt/ml/model")
    files = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert files == ["a/weights"]


def test_one_uncompressed_object_keeps_its_name(house: House) -> None:
    house.put("weights", b"w")
    house.put("weights-of-another", b"o")
    source = {
        "S3Uri": f"s3://{BUCKET}/weights",
        "S3DataType": "S3Object",
        "CompressionType": "None",
    }
    house.model("mine", ModelDataSource={"S3DataSource": source})
    house.config("mine", {"ModelName": "mine"})
    folder = serving(house, config="mine").runs[0].outside("/opt/ml/model")
    assert [path.name for path in folder.iterdir()] == ["weights"]


def test_an_environment_that_is_built_first_leaves_the_endpoint_creating(house: House) -> None:
    house.backend.says_while_preparing = ["building"]
    serving(house)
    assert len(house.backend.prepared) == 1


# --- servers that end -------------------------------------------------------------------------


def test_a_server_that_dies_is_started_again(house: House) -> None:
    play = serving(house)
    house.backend.always("serve").serves()
    play.runs[0].close()
    wait_for(lambda: len(house.backend.specs), lambda count: bool(count == 2))
    wait_for(house.servers, lambda servers: bool(servers == [1]))
    assert ask(house) == 200
    assert house.endpoints.get("dock").status == "InService"


def test_a_server_that_keeps_dying_fails_the_endpoint(house: House) -> None:
    plays = [house.backend.expect("serve").serves() for _ in range(4)]
    house.deploy()
    house.settled()
    for play in plays:
        run = play.wait_until_started()
        wait_for(house.ports, lambda ports, run=run: run.address(8080)[1] in ports)
        run.close()
    reason = house.settled("Failed").failure_reason or ""
    assert "The model server ended 4 times" in reason
    assert "exit code 137" in reason


def test_a_server_that_dies_as_it_starts_again_gets_another_try(house: House) -> None:
    play = serving(house)
    house.backend.expect("serve").exits(137)
    house.backend.always("serve").serves()
    play.runs[0].close()
    wait_for(lambda: len(house.backend.specs), lambda count: bool(count == 3))
    wait_for(house.servers, lambda servers: bool(servers == [1]))
    assert ask(house) == 200
    assert house.endpoints.get("dock").status == "InService"


def test_a_server_that_never_starts_again_fails_the_endpoint_with_its_last_words(
    house: House,
) -> None:
    play = serving(house)
    house.backend.always("serve").prints("OSError: the disk is gone").exits(1)
    play.runs[0].close()
    reason = house.settled("Failed").failure_reason or ""
    assert "The model server ended 4 times" in reason
    assert "OSError: the disk is gone" in reason
    assert len(house.backend.specs) == 4


def test_the_other_server_of_a_variant_answers_while_one_is_down(house: House) -> None:
    house.config("two", TWO_SERVERS)
    first = house.backend.expect("serve").serves()
    second = house.backend.expect("serve").serves()
    house.deploy(config="two")
    house.settled()
    later = house.backend.expect("serve").waits().serves()
    first.wait_until_started().close()
    later.wait_until_started()
    assert house.servers() == [1]
    assert ask(house) == 200
    later.goes_on()
    wait_for(house.servers, lambda servers: bool(servers == [2]))
    assert second.runs[0].wait(0) is None


# --- updates ----------------------------------------------------------------------------------


def test_an_update_swaps_to_the_new_servers_and_stops_the_old(house: House) -> None:
    old = serving(house)
    house.config("next", model="other")
    fresh = house.backend.expect("serve").waits().serves()
    house.hosting.update(house.updates("next"))
    fresh.wait_until_started()
    assert old.runs[0].wait(0) is None, "the old server answers until the new one can"
    fresh.goes_on()
    endpoint = house.settled()
    assert (endpoint.config_name, endpoint.next_config_name) == ("next", None)
    assert endpoint.variants[0].model == "other"
    wait_for(lambda: old.runs[0].stops, lambda stops: bool(stops == [5]))
    assert ask(house) == 200


def test_no_request_fails_while_an_endpoint_is_updated(house: House) -> None:
    serving(house)
    house.config("next")
    house.backend.expect("serve").serves()
    over = threading.Event()
    seen: list[int | OSError] = []

    def keep_asking() -> None:
        while not over.is_set():
            try:
                seen.append(ask(house))
            except OSError as error:  # in a thread nobody else would hear of it
                seen.append(error)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    wait_for(lambda: seen, lambda seen: len(seen) > 3)
    house.hosting.update(house.updates("next"))
    wait_for(lambda: house.endpoints.get("dock").config_name, lambda name: bool(name == "next"))
    over.set()
    asking.join()
    assert set(seen) == {200}


@pytest.mark.evidence("docs", "API_UpdateEndpoint.html: RetainAllVariantProperties")
@pytest.mark.parametrize(
    ("asked", "weight"),
    [
        ({}, 1.0),
        ({"RetainAllVariantProperties": True}, 3.0),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            1.0,
        ),
    ],
)
def test_an_update_keeps_a_variants_weight_only_where_it_was_asked_to(
    house: House, asked: dict[str, Any], weight: float
) -> None:
    serving(house)
    house.config("next")
    house.backend.expect("serve").serves()
    current = house.endpoints.get("dock")
    heavy = replace(current.variants[0], current_weight=3.0, desired_weight=3.0)
    house.endpoints.save(replace(current, variants=(heavy,), request={**current.request, **asked}))

    house.hosting.update(house.updates("next"))

    assert house.settled().config_name == "next"
    assert house.endpoints.get("dock").variants[0].desired_weight == weight


def test_a_deleted_endpoint_is_gone_when_the_call_returns(house: House) -> None:
    serving(house)

    house.deletes()

    assert house.is_gone()


def test_an_update_that_fails_rolls_back_and_says_why(house: House) -> None:
    old = serving(house)
    house.config("next")
    house.backend.expect("serve").prints("broken model").exits(1)
    house.hosting.update(house.updates("next"))
    endpoint = house.settled()
    assert (endpoint.config_name, endpoint.next_config_name) == ("one", None)
    assert "broken model" in (endpoint.failure_reason or "")
    assert ask(house) == 200
    assert old.runs[0].wait(0) is None


def test_an_update_to_a_deleted_configuration_rolls_back(house: House) -> None:
    serving(house)
    house.config("next")
    updating = house.updates("next")
    house.configs.delete("next")
    house.hosting.update(updating)
    assert house.settled().failure_reason == 'Could not find endpoint configuration "next".'


def test_weights_and_counts_change_without_a_new_server_for_what_serves(house: House) -> None:
    house.config("two", {"InitialVariantWeight": 1}, {"InitialVariantWeight": 3})
    house.backend.always("serve").serves()
    house.deploy(config="two")
    house.settled()
    house.hosting.set_weights(house.updates(), {"v0": (5.0, None), "v1": (None, 2)})
    endpoint = house.settled()
    assert [(v.current_weight, v.current_count) for v in endpoint.variants] == [(5, 1), (3, 2)]
    assert [variant.weight for variant in house.route().variants] == [5, 3]
    assert house.servers() == [1, 2]
    assert len(house.backend.specs) == 3


def test_a_server_that_is_too_much_is_stopped_with_grace(house: House) -> None:
    house.config("two", TWO_SERVERS)
    play = house.backend.always("serve").serves()
    house.deploy(config="two")
    house.settled()
    house.hosting.set_weights(house.updates(), {"v0": (None, 1)})
    assert house.settled().variants[0].current_count == 1
    wait_for(lambda: [run.stops for run in play.runs], lambda stops: [5] in stops)
    assert house.servers() == [1]


def test_more_servers_that_do_not_come_up_leave_what_there_was(house: House) -> None:
    serving(house)
    house.backend.expect("serve").exits(1)
    house.hosting.set_weights(house.updates(), {"v0": (9.0, 2)})
    endpoint = house.settled()
    (variant,) = endpoint.variants
    assert "ping health check" in (endpoint.failure_reason or "")
    assert (variant.current_weight, variant.desired_weight) == (1, 1)
    assert (variant.current_count, variant.desired_count) == (1, 1)
    assert ask(house) == 200


# --- deletion ---------------------------------------------------------------------------------


def test_a_deleted_endpoint_leaves_no_server_no_route_and_no_folder(house: House) -> None:
    run = serving(house).runs[0]
    house.deletes()
    wait_for(house.is_gone, bool)
    assert run.wait(0) is not None
    assert house.routes.get("dock") is None
    assert house.runs.of("arn:aws:sagemaker:us-east-1:000000000000:endpoint/dock") == []
    assert list((house.folder / "endpoints").iterdir()) == []


def test_an_endpoint_deleted_while_its_server_comes_up_goes_without_waiting(house: House) -> None:
    play = house.backend.expect("serve").waits()
    house.hosting = house.hosting_with(startup_seconds=600)
    house.deploy()
    run = play.wait_until_started()
    house.deletes()
    wait_for(house.is_gone, bool)
    assert run.wait(0) is not None


def test_the_name_of_a_deleted_endpoint_is_free_at_once(house: House) -> None:
    house.backend.always("serve").serves()
    for _ in range(5):
        house.deploy()
        house.settled()
        house.deletes()
        wait_for(house.is_gone, bool)


def test_a_failed_endpoint_can_be_deleted(house: House) -> None:
    house.backend.expect("serve").exits(1)
    house.deploy()
    house.settled("Failed")
    house.deletes()
    wait_for(house.is_gone, bool)


def test_servers_begin_before_their_model_is_staged_and_are_given_up_with_it(house: House) -> None:
    house.backend.always("serve").serves()
    house.config("two", {"InitialInstanceCount": 2})
    house.deploy(config="two")
    house.settled()
    assert sorted(house.backend.begun) == sorted(spec.name for spec in house.backend.specs)

    house.model("empty", ModelDataUrl=f"s3://{BUCKET}/nothing.tar.gz")
    house.config("bad", model="empty")
    house.deploy("bad", config="bad")
    house.settled("Failed", name="bad")
    assert house.backend.begun[-1] in house.backend.abandoned


def test_an_endpoint_that_is_said_to_be_in_service_can_be_invoked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is told so invokes it at once, and had been told that it was Creating."""
    led: list[str] = []
    save = house.endpoints.save

    def saved(endpoint: Endpoint) -> Endpoint:
        if endpoint.status == "InService":
            led.append(house.route("dock").status)
        return save(endpoint)

    monkeypatch.setattr(house.endpoints, "save", saved)
    serving(house)
    assert led == ["InService"]
