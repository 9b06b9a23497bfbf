"""Early script mode: new argument orders on the old server."""

from __future__ import annotations

import pytest

from .conftest import EARLY, PATIENCE, Served, World

RESULTS = """
    class Response:
        status_code = 202
        mimetype = content_type = "a/b"
        def get_data(self): return b"response"

    def model_fn(model_dir): return None

    def transform_fn(model, data, content_type, accept):
        return {"pair": ("body", "a/b"), "bare": "body", "response": Response()}[data]
"""


@pytest.fixture(scope="module")
def results(shared_world: World) -> Served:
    return shared_world.serve(RESULTS, EARLY)


def test_an_accept_of_anything_is_handed_on(early_echo: Served) -> None:
    assert early_echo.invoke("1", {"Accept": "*/*"}).json["accept"] == "*/*"


def test_without_headers_both_types_are_json(early_echo: Served) -> None:
    told = early_echo.invoke("[1]", {}).json

    assert (told["type"], told["content_type"], told["accept"]) == (
        "str", "application/json", "application/json",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "status", "body", "content_type"),
    [
        ("pair", 200, b"body", "a/b"),
        ("bare", 200, b"body", "text/html; charset=utf-8"),
        ("response", 202, b"response", "a/b"),
    ],
)
def test_a_result_is_a_pair_a_body_or_a_response(
    results: Served, kind: str, status: int, body: bytes, content_type: str
) -> None:
    reply = results.invoke(kind, {"Content-Type": "text/csv"})

    assert (reply.status, reply.body, reply.content_type) == (status, body, content_type)


def test_an_exception_is_a_page_with_500(early_echo: Served) -> None:
    reply = early_echo.invoke({"fail": "dunlin"})

    assert (reply.status, reply.content_type) == (500, "text/html; charset=utf-8")
    assert b"500 Internal Server Error" in reply.body
    assert "ValueError: dunlin" in early_echo.log


def test_predict_fn_gets_the_data_first(world: World) -> None:
    served = world.serve(
        """
        def model_fn(model_dir): return "model"
        def input_fn(data, content_type): return data + "/" + content_type
        def predict_fn(data, model): return [data, model]
        def output_fn(prediction, accept): return repr((prediction, accept)), accept
        """,
        EARLY,
    )

    assert served.invoke("d", {"Content-Type": "text/csv", "Accept": "a/b"}).body == (
        b"(['d/text/csv', 'model'], 'a/b')"
    )


def test_a_model_fn_that_raises_ends_the_server(world: World) -> None:
    served = world.serve("def model_fn(d): raise ValueError('broken here')", EARLY, wait=False)

    assert served.process.wait(PATIENCE) == 0
    assert "ValueError: broken here" in served.log


def test_requirements_lie_at_the_root_of_the_source(world: World) -> None:
    served = world.serve(
        "", EARLY, wait=False, files={"code/requirements.txt": b"./no-such-package\n"}
    )

    assert served.process.wait(PATIENCE) == 1
    assert "no-such-package" in served.log
