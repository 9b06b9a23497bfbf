"""The legacy generation's functions: what they are given, what their results become."""

from __future__ import annotations

import json

import pytest

from .conftest import LEGACY, PATIENCE, Served, World

RAISES = """
    from container_support.serving import UnsupportedAcceptTypeError, UnsupportedContentTypeError
    from container_support.serving import UnsupportedInputShapeError

    def model_fn(model_dir):
        return None

    def transform_fn(model, data, content_type, accept):
        kinds = {"content": UnsupportedContentTypeError, "accept": UnsupportedAcceptTypeError,
                 "shape": UnsupportedInputShapeError}
        if data in kinds:
            raise kinds[data](2 if data == "shape" else "a/b")
        return {"text": ("x", "text/plain"), "bytes": (b"\\xff", "a/b"),
                "list": (["a", b"b"], "a/b"), "alone": "body",
                "three": (1, 2, 3), "number": (1, "a/b"),
                "header": ("x", "a/b\\r\\nEvil: 1"), "none": (None, "a/b")}[data]
"""


@pytest.fixture(scope="module")
def raising(shared_world: World) -> Served:
    return shared_world.serve(RAISES, LEGACY)


@pytest.mark.parametrize("content_type", ["application/json", "text/csv"])
def test_exactly_two_content_types_make_text(legacy_echo: Served, content_type: str) -> None:
    told = legacy_echo.invoke("[1]", {"Content-Type": content_type}).json

    assert (told["type"], told["content_type"]) == ("str", content_type)


def test_a_content_type_with_a_parameter_is_handed_on_whole_and_its_data_is_bytes(
    legacy_echo: Served,
) -> None:
    told = legacy_echo.invoke("[1]", {"Content-Type": "application/json; charset=utf-8"}).json

    assert (told["type"], told["content_type"]) == ("bytes", "application/json; charset=utf-8")


def test_without_headers_both_types_are_json(legacy_echo: Served) -> None:
    told = legacy_echo.invoke("[1]", {}).json

    assert (told["content_type"], told["accept"]) == ("application/json", "application/json")


def test_the_header_contenttype_goes_before_content_type(legacy_echo: Served) -> None:
    told = legacy_echo.invoke("1", {"Content-Type": "text/csv", "ContentType": "a/b"}).json

    assert told["content_type"] == "a/b"


@pytest.mark.parametrize(
    ("accept", "seen"), [("*/*", "application/json"), ("a/b, */*;q=0.1", "a/b, */*;q=0.1")]
)
def test_only_a_bare_accept_of_anything_becomes_the_default(
    legacy_echo: Served, accept: str, seen: str
) -> None:
    assert legacy_echo.invoke("1", {"Accept": accept}).json["accept"] == seen


def test_an_exception_is_an_empty_500_and_its_traceback_is_in_the_log(legacy_echo: Served) -> None:
    reply = legacy_echo.invoke({"fail": "lapwing"})

    assert (reply.status, reply.body) == (500, b"")
    assert "ValueError: lapwing" in legacy_echo.log
    assert 'script.py", line' in legacy_echo.log


def test_text_that_is_no_utf8_is_an_empty_500(legacy_echo: Served) -> None:
    reply = legacy_echo.invoke(b"\xff\xfe", {"Content-Type": "text/csv"})

    assert (reply.status, reply.body) == (500, b"")


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("content", 415, "('Requested unsupported ContentType: a/b', 'a/b')"),
        ("accept", 406, "('Requested unsupported ContentType in Accept: a/b', 'a/b')"),
        ("shape", 412, "('Model can have only 1 input data, but it has: 2', 2)"),
    ],
)
@pytest.mark.evidence("toolkit-source", "container-support 1.1.3, serving.py")
def test_three_exceptions_have_a_status_of_their_own(
    raising: Served, kind: str, status: int, text: str
) -> None:
    reply = raising.invoke(kind, {"Content-Type": "text/csv"})

    assert (reply.status, reply.content_type) == (status, "application/json")
    assert json.loads(reply.body) == text


def test_text_types_get_a_charset_as_flask_adds_it(raising: Served) -> None:
    reply = raising.invoke("text", {"Content-Type": "text/csv"})

    assert (reply.body, reply.content_type) == (b"x", "text/plain; charset=utf-8")


@pytest.mark.parametrize(("kind", "body"), [("bytes", b"\xff"), ("list", b"ab"), ("none", b"")])
def test_a_body_may_be_bytes_or_made_of_parts(raising: Served, kind: str, body: bytes) -> None:
    reply = raising.invoke(kind, {"Content-Type": "text/csv"})

    assert (reply.status, reply.body, reply.content_type) == (200, body, "a/b")


@pytest.mark.parametrize("kind", ["alone", "three", "number", "header"])
def test_a_result_that_is_no_pair_of_body_and_type_is_a_500(raising: Served, kind: str) -> None:
    assert raising.invoke(kind, {"Content-Type": "text/csv"}).status == 500


def test_beside_a_transform_fn_the_other_functions_are_ignored(world: World) -> None:
    served = world.serve(
        """
        def model_fn(model_dir): return None
        def input_fn(*arguments): raise ValueError("called")
        predict_fn = output_fn = process_request_fn = input_fn
        def transform_fn(m, d, c, a): return "transformed", a
        """,
        LEGACY,
    )

    assert served.invoke([1]).body == b"transformed"


def test_model_fn_gets_the_model_folder_once(world: World) -> None:
    served = world.serve(
        """
        import os
        calls = []
        def model_fn(model_dir):
            calls.append(model_dir)
            return os.listdir(model_dir)
        def transform_fn(model, d, c, a): return repr((model, len(calls))), a
        """,
        LEGACY, files={"model/weights.bin": b"w"},
    )  # fmt: skip

    assert served.invoke([1]).body == b"(['weights.bin'], 1)"


def test_a_module_beside_the_script_shadows_even_the_standard_library(world: World) -> None:
    served = world.serve(
        """
        import wave
        def model_fn(model_dir): return None
        def transform_fn(m, d, c, a): return wave.MINE, a
        """,
        LEGACY, files={"code/wave.py": b"MINE = 'mine'"},
    )  # fmt: skip

    assert served.invoke([1]).body == b"mine"


@pytest.mark.parametrize(
    "script",
    ["def model_fn(d): raise ValueError('broken here')", "raise ValueError('broken here')"],
)
def test_code_that_cannot_be_loaded_ends_the_server(world: World, script: str) -> None:
    served = world.serve(script, LEGACY, wait=False)

    assert served.process.wait(PATIENCE) == 0
    assert "ValueError: broken here" in served.log
    assert "script.py" in served.log


def test_without_a_program_there_is_no_module_to_serve(world: World) -> None:
    served = world.serve(None, LEGACY, wait=False, SAGEMAKER_PROGRAM="")

    assert served.process.wait(PATIENCE) == 0
    assert "not a module!" in served.log


def test_without_a_model_fn_the_missing_file_is_named(world: World) -> None:
    served = world.serve("", LEGACY, wait=False)

    assert served.process.wait(PATIENCE) == 0
    assert "missing model-symbol.json file" in served.log


def test_requirements_that_cannot_be_installed_end_the_server_with_the_reason(
    world: World,
) -> None:
    served = world.serve(
        "", LEGACY, wait=False, SAGEMAKER_REQUIREMENTS="needs.txt",
        files={"code/needs.txt": b"./no-such-package\n"},
    )  # fmt: skip

    assert served.process.wait(PATIENCE) == 1
    assert "no-such-package" in served.log
    assert "InstallRequirementsError" in served.log
