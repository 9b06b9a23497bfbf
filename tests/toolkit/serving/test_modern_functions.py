"""Script mode since 1.4.1: MMS's rules for what functions get and what their results become."""

from __future__ import annotations

import json

import pytest

from .conftest import JSON, MODERN, Served, World

RESULTS = """
    from sagemaker_inference import errors

    def model_fn(model_dir): return None

    def transform_fn(model, data, content_type, accept):
        if data == "status":
            raise errors.BaseInferenceToolkitError(418, "short and stout", "Tea\\r\\nPot")
        if data == "memory":
            raise MemoryError("too much")
        return {"pair": ("body", "a/b"), "bare": "body", "bytes": b"\\xff", "none": None,
                "object": {"a": [1]}, "set": {1}, "header": ("x", "a\\r\\nb")}[data]
"""


@pytest.fixture(scope="module")
def results(shared_world: World) -> Served:
    return shared_world.serve(RESULTS, MODERN)


@pytest.mark.parametrize(
    ("headers", "type_name", "content_type"),
    [
        ({"Content-Type": "application/json"}, "str", "application/json"),
        ({"content-type": "text/csv"}, "str", "text/csv"),
        ({"Content-Type": "application/json; charset=utf-8"}, "bytearray",
         "application/json; charset=utf-8"),
        ({"ContentType": "a/b"}, "bytearray", "a/b"),
        ({"CONTENT-TYPE": "application/json"}, "bytearray", None),
        ({}, "bytearray", None),
    ],
)  # fmt: skip
def test_the_content_type_is_found_by_the_clients_own_spelling(
    modern_echo: Served, headers: dict[str, str], type_name: str, content_type: str | None
) -> None:
    told = modern_echo.invoke("[1]", headers).json

    assert (told["type"], told["content_type"]) == (type_name, content_type)


@pytest.mark.parametrize(
    ("headers", "seen"),
    [({}, "application/json"), ({"Accept": "*/*"}, "application/json"), ({"accept": "a/b"}, "a/b"),
     ({"ACCEPT": "a/b"}, "application/json")],
)  # fmt: skip
def test_accept_is_known_by_two_spellings(
    modern_echo: Served, headers: dict[str, str], seen: str
) -> None:
    assert modern_echo.invoke("1", headers).json["accept"] == seen


def test_the_default_accept_is_a_variable(world: World) -> None:
    served = world.serve(
        "def model_fn(d): return 1\ndef transform_fn(m, d, c, a): return a",
        SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="text/csv",
    )

    assert served.invoke("1", {}).body == b"text/csv"


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("pair", b"body", "a/b"),
        ("bare", b"body", "x/y;q=1, z"),
        ("bytes", b"\xff", "x/y;q=1, z"),
        ("none", b"null", "x/y;q=1, z"),
        ("object", b'{\n  "a": [\n    1\n  ]\n}', "x/y;q=1, z"),
    ],
)
def test_a_result_that_is_no_tuple_has_the_raw_accept_as_its_type(
    results: Served, kind: str, body: bytes, content_type: str
) -> None:
    reply = results.invoke(kind, {"Content-Type": "text/csv", "Accept": "x/y;q=1, z"})

    assert (reply.status, reply.body, reply.content_type) == (200, body, content_type)


def test_a_result_that_json_cannot_hold_is_a_503(results: Served) -> None:
    reply = results.invoke("set", {"Content-Type": "text/csv"})

    assert reply.status == 503
    assert reply.json["message"] == "Unsupported model output data type."


def test_a_type_that_breaks_the_header_is_a_500(results: Served) -> None:
    assert results.invoke("header", {"Content-Type": "text/csv"}).status == 500


def test_an_exception_is_a_500_with_message_and_traceback(modern_echo: Served) -> None:
    reply = modern_echo.invoke({"fail": "dunlin"})

    assert reply.status == 500
    assert reply.body.startswith(b"dunlin\nTraceback")
    assert b'script.py", line' in reply.body
    assert "ValueError: dunlin" in modern_echo.log


def test_a_toolkit_error_chooses_status_and_phrase(results: Served) -> None:
    received = results.raw(
        b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nConnection: close\r\n"
        b"Content-Length: 6\r\n\r\nstatus"
    )

    assert received.startswith(b"HTTP/1.1 418 Tea  Pot\r\n")
    assert b"\r\n\r\nshort and stout\nTraceback" in received


def test_running_out_of_memory_is_a_507(results: Served) -> None:
    reply = results.invoke("memory", {"Content-Type": "text/csv"})

    assert (reply.status, reply.json["type"]) == (507, "InternalServerException")


def test_a_form_is_split_and_only_its_part_named_body_is_the_input(modern_echo: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    assert modern_echo.invoke("a=1&body=four", form).json["length"] == 4
    assert modern_echo.invoke("a=1", form).status == 500  # len(None), in the script


def test_a_multipart_form_is_split_too(modern_echo: Served) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="body"\r\n\r\n12345\r\n--x--\r\n'

    told = modern_echo.invoke(part, {"Content-Type": "multipart/form-data; boundary=x"}).json

    assert (told["type"], told["length"]) == ("bytearray", 5)


def test_functions_are_chained_with_the_data_first(world: World) -> None:
    served = world.serve(
        """
        def model_fn(model_dir): return "model"
        def input_fn(data, content_type): return json.loads(data)
        def predict_fn(data, model): return {"data": data, "model": model}
        def output_fn(prediction, accept): return dict(prediction, accept=accept)
        import json
        """
    )

    assert served.invoke([1]).json == {"data": [1], "model": "model", "accept": "application/json"}


def test_the_program_is_inference_py_where_none_is_named(world: World) -> None:
    served = world.serve(
        None, SAGEMAKER_PROGRAM="",
        files={"model/code/inference.py": b"def model_fn(d): return 1\n"
               b"def transform_fn(m, d, c, a): return 'served'\n"},
    )  # fmt: skip

    assert served.invoke([1]).body == b"served"


def test_hooks_run_before_and_after_model_fn(world: World) -> None:
    served = world.serve(
        """
        calls = []
        def pre_model_fn(model_dir): calls.append("pre")
        def model_fn(model_dir): calls.append("load"); return 1
        def model_warmup_fn(model_dir, model): calls.append("warm %d" % model)
        def transform_fn(m, d, c, a): return calls
        """
    )

    assert served.invoke([1]).json == ["pre", "load", "warm 1"]


def test_a_model_fn_that_raises_leaves_ping_healthy_and_every_request_tries_again(
    world: World,
) -> None:
    served = world.serve(
        """
        def model_fn(model_dir): raise ValueError("broken here")
        def transform_fn(m, d, c, a): return 1
        """
    )
    replies = [served.invoke([1]) for _ in range(2)]

    assert served.request("GET", "/ping").json == {"status": "Healthy"}
    assert [reply.status for reply in replies] == [500, 500]
    assert all(b"broken here\nTraceback" in reply.body for reply in replies)
    assert "ValueError: broken here" in served.log


@pytest.mark.parametrize(
    "script",
    ["def model_fn(d): raise ValueError('broken here')", "raise ValueError('broken here')"],
)
def test_without_a_transform_fn_a_broken_model_is_a_503(world: World, script: str) -> None:
    served = world.serve(script)
    reply = served.invoke([1])

    assert (reply.status, reply.content_type) == (503, "application/json")
    assert reply.json == {
        "code": 503, "type": "InternalServerException", "message": "Prediction failed",
    }  # fmt: skip
    assert "ValueError: broken here" in served.log


def test_a_script_that_is_not_there_is_a_503(world: World) -> None:
    assert world.serve(None).invoke([1]).status == 503


def test_a_transform_fn_beside_other_functions_is_an_error(world: World) -> None:
    served = world.serve(
        """
        def model_fn(d): return 1
        def transform_fn(m, d, c, a): return 1
        def input_fn(d, c): return 1
        """
    )
    reply = served.invoke([1])

    assert reply.status == 500
    assert b"Cannot use transform_fn" in reply.body


def test_a_body_over_the_limit_is_a_413(modern_echo: Served) -> None:
    at_limit = modern_echo.invoke(b"x" * 6553500, {})
    over = modern_echo.invoke(b"x" * 6553501, {})

    assert (at_limit.status, at_limit.json["length"]) == (200, 6553500)
    assert (over.status, over.body) == (413, b"")


def test_a_path_that_is_not_served_is_a_404_in_json(modern_echo: Served) -> None:
    reply = modern_echo.request("GET", "/models")

    assert (reply.status, reply.json["type"]) == (404, "ResourceNotFoundException")
    assert modern_echo.request("GET", "/invocations").status == 405


def test_a_model_of_another_name_is_a_404(modern_echo: Served) -> None:
    reply = modern_echo.request("POST", "/invocations?model_name=other", "[1]", JSON)
    own = modern_echo.request("POST", "/invocations?model_name=model", "[1]", JSON)

    assert (reply.status, reply.json["type"]) == (404, "ModelNotFoundException")
    assert own.status == 200


def test_a_script_that_exits_on_import_leaves_the_server_up(world: World) -> None:
    served = world.serve("import sys\nsys.exit('bye')")

    assert served.invoke([1]).status == 503
    assert "SystemExit: bye" in served.log


def test_ping_says_its_status_in_json(modern_echo: Served) -> None:
    reply = modern_echo.request("GET", "/ping")

    assert (reply.status, json.loads(reply.body)) == (200, {"status": "Healthy"})
    assert reply.content_type == JSON["Content-Type"]
