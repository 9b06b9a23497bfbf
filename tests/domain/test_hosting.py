"""Endpoints: their states, their variants, and which variant an invocation goes to."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone

import pytest

from sagedock.domain.hosting import Endpoint, VariantState
from sagedock.domain.resource import Model
from sagedock.domain.routes import EndpointRoute, ModelServer, Routes, VariantRoute
from sagedock.domain.states import ENDPOINT_IN_TRANSITION, NEXT_ENDPOINT, InvalidTransition

NOW = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
SERVER = ModelServer("127.0.0.1", 8080, "AllTraffic/i-1")


def _endpoint() -> Endpoint:
    state = VariantState.of({"VariantName": "v", "ModelName": "m"}, ("a/b:1",))
    return Endpoint(
        name="e",
        arn="arn:endpoint/e",
        created=NOW,
        modified=NOW,
        request={},
        config_name="c",
        variants=(state,),
    )


@pytest.mark.evidence("docs", "API_ProductionVariant.html: defaults")
def test_a_variant_has_weight_and_count_one_unless_it_says_else() -> None:
    (state,) = _endpoint().variants
    assert (state.desired_weight, state.desired_count, state.current_count) == (1.0, 1, 0)


def test_an_endpoint_moves_as_the_table_says_and_keeps_its_failure_short() -> None:
    served = _endpoint().moved_to("InService", NOW)
    assert served.moved_to("Updating", NOW).in_transition
    failed = _endpoint().moved_to("Failed", NOW, "x" * 5000)
    assert len(failed.failure_reason or "") == 1024
    with pytest.raises(InvalidTransition):
        served.moved_to("Creating", NOW)


def test_what_is_in_transition_can_always_settle_or_go() -> None:
    for status in ENDPOINT_IN_TRANSITION - {"Deleting"}:
        assert {"InService", "Failed", "Deleting"} <= NEXT_ENDPOINT[status]
    assert NEXT_ENDPOINT["Deleting"] == frozenset()


def test_what_is_stored_comes_back_the_same() -> None:
    endpoint = _endpoint().moved_to("InService", NOW)
    common = {
        field: getattr(endpoint, field)
        for field in ("name", "arn", "created", "modified", "request", "version")
    }
    assert Endpoint.restore(common, endpoint.state()) == endpoint


def test_a_models_containers_are_the_primary_one_or_those_in_order() -> None:
    def model(**request: object) -> Model:
        return Model(name="m", arn="a", created=NOW, modified=NOW, request=request)

    assert model(PrimaryContainer={"Image": "a"}).containers == ({"Image": "a"},)
    assert len(model(Containers=[{"Image": "a"}, {"Image": "b"}]).containers) == 2


def _route(**weights: float) -> EndpointRoute:
    variants = tuple(VariantRoute(name, weight, (SERVER,)) for name, weight in weights.items())
    return EndpointRoute("e", "arn", "InService", "/g", variants)


@pytest.mark.evidence("docs", "API_ProductionVariant.html: InitialVariantWeight")
def test_traffic_is_shared_in_proportion_to_the_weights() -> None:
    route = _route(a=1.0, b=3.0, never=0.0)
    drawn = Counter(found.name for _ in range(8000) if (found := route.choose()))
    assert drawn["never"] == 0
    assert 0.2 < drawn["a"] / 8000 < 0.3


def test_a_named_variant_is_taken_and_an_unknown_one_is_none() -> None:
    route = _route(a=1.0, b=0.0)
    chosen = route.choose("b")
    assert chosen is not None
    assert chosen.name == "b"
    assert route.choose("c") is None


def test_without_any_weight_there_is_no_choice() -> None:
    assert _route(a=0.0, b=0.0).choose() is None
    assert _route().choose() is None


def test_routes_are_replaced_as_a_whole() -> None:
    routes = Routes()
    routes.publish(_route(a=1.0))
    routes.publish(_route(b=1.0))
    found = routes.get("e")
    assert found is not None
    assert [variant.name for variant in found.variants] == ["b"]
    routes.remove("e")
    routes.remove("e")
    assert routes.get("e") is None
