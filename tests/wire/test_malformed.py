"""Requests that no AWS client sends: always a 400 that says why, never a 500."""

from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagedock.aws.http import HttpRequest, HttpResponse
from sagedock.aws.protocols import parse
from sagedock.aws.routing import route
from wire.loopback import Loopback
from wire.oracle import WIRES, Values, operations, request_of, signature

CREATE = {"x-amz-target": "SageMaker.CreateTrainingJob"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
CBOR_PATH = "/service/GraniteServiceVersion20100801/operation/PutMetricData"
BOMB = gzip.compress(bytes(65 * 1024**2))


def answer(request: HttpRequest) -> HttpResponse:
    return Loopback().handle(request)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not valid JSON"),
        (b'{"TrainingJobName": NaN}', "not valid JSON"),
        (b"\xff\xfe", "not valid UTF-8"),
        (b'{"TrainingJobName": "\\ud800"}', "not valid UTF-8"),
        (b"[]", "Start of list found"),
        (b"7", "found NUMBER_VALUE"),
        (b"null", "found NULL_VALUE"),
        (b'{"TrainingJobName": 7}', "NUMBER_VALUE can not be converted to a String"),
        (b'{"TrainingJobName": {}}', "Start of structure or map found"),
        (b'{"HyperParameters": {"a": 1}}', "(at HyperParameters.a)"),
        (b'{"HyperParameters": []}', "Start of list found"),
        (b'{"InputDataConfig": "x"}', "Expected list or null"),
        (b'{"InputDataConfig": [{"ChannelName": 1}]}', "(at InputDataConfig.1.ChannelName)"),
        (b'{"ResourceConfig": {"InstanceCount": "1"}}', "STRING_VALUE can not be converted to an"),
        (b'{"ResourceConfig": {"InstanceCount": true}}', "TRUE_VALUE can not be converted"),
        (b'{"ResourceConfig": {"InstanceCount": 1.5}}', "NUMBER_VALUE can not be converted"),
        (b'{"ResourceConfig": {"InstanceCount": 1e400}}', "NUMBER_VALUE can not be converted"),
        (b'{"ResourceConfig": {"InstanceCount": 99999999999999999999}}', "too large"),
        (b'{"EnableNetworkIsolation": "true"}', "STRING_VALUE can not be converted to a Boolean"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_malformed_json_is_a_serialization_error(body: bytes, said: str) -> None:
    response = answer(HttpRequest("POST", "/", "", CREATE, body))

    assert response.status == 400
    assert b'"__type":"SerializationException"' in response.body
    assert said in response.body.decode()


def test_deep_search_expressions_are_refused_not_fatal() -> None:
    body = b'{"Resource": "TrainingJob", "SearchExpression": ' + b'{"SubExpressions": [' * 400
    body += b"{}" + b"]}" * 400 + b"}"

    response = answer(HttpRequest("POST", "/", "", {"x-amz-target": "SageMaker.Search"}, body))

    assert response.status == 400


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MissingRequestBodyError"),
        (b"<Delete>", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"\xff", "MalformedXML"),
        (b"<Delete><Object>a</Object></Delete>", "MalformedXML"),
        (b"<Delete><Object><Key><b/></Key></Object></Delete>", "MalformedXML"),
        (b"<Delete><Quiet>maybe</Quiet></Delete>", "MalformedXML"),
        (b'<!DOCTYPE Delete [<!ENTITY a "b">]><Delete>&a;</Delete>', "MalformedXML"),
        (b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd"><Delete/>', "MalformedXML"),
        (b"<a>" * 50_000, "MalformedXML"),
        (b'<?xml version="1.0" encoding="klingon"?><Delete/>', "MalformedXML"),
    ],
)
def test_malformed_xml_is_refused_in_s3s_words(body: bytes, code: str) -> None:
    response = answer(HttpRequest("POST", "/bucket", "delete", {}, body))

    assert response.status == 400
    assert f"<Code>{code}</Code>".encode() in response.body


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/bucket?list-type=2&max-keys=abc", "max-keys"),
        ("/bucket?list-type=2&max-keys=1_0", "max-keys"),
        ("/bucket?list-type=2&fetch-owner=7", "fetch-owner"),
        (
            "/bucket/key?uploadId=1&part-number-marker=x&max-parts=9999999999999999999999",
            "max-parts",
        ),
    ],
)
def test_a_bad_argument_is_named(target: str, name: str) -> None:
    path, _, query = target.partition("?")

    response = answer(HttpRequest("GET", path, query))

    assert response.status == 400
    assert b"<Code>InvalidArgument</Code>" in response.body
    assert f"<ArgumentName>{name}</ArgumentName>".encode() in response.body


@pytest.mark.parametrize(
    "body",
    [
        b"Action=AssumeRole&Version=2011-06-15&DurationSeconds=abc",
        b"Action=AssumeRole&Version=2011-06-15&DurationSeconds.member.1=3",
        b"Action=AssumeRole&Version=2011-06-15&Tags.member.x.Key=3",
        b"Action=AssumeRole&Version=2011-06-15&RoleArn=%ff",
        b"Action=AssumeRole&Version=2011-06-15&RoleArn=\xff",
    ],
)
def test_a_malformed_form_is_refused(body: bytes) -> None:
    response = answer(HttpRequest("POST", "/", "", FORM, body))

    assert response.status == 400
    assert b"<ErrorResponse" in response.body


@pytest.mark.parametrize(
    "body",
    [
        b"\xbf",
        b"\xa1\x01\x02",
        b"\xa1",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xa0\xa0",
        b"\xfc",
        b"\x61\xff",
        b"\x5f\x01\xff",
        b"\xc1\x61a",
        b"\x81" * 100_000,
    ],
)
def test_malformed_cbor_is_refused(body: bytes) -> None:
    response = answer(HttpRequest("POST", CBOR_PATH, "", {}, body))

    assert response.status == 400
    assert b"SerializationException" in response.body


@pytest.mark.parametrize(
    "packed",
    [b"", b"{}", gzip.compress(b"{}")[:-3], BOMB],
    ids=["empty", "plain", "cut short", "bomb"],
)
@pytest.mark.parametrize("headers", [CREATE, FORM])
def test_a_body_that_does_not_unpack_is_refused(packed: bytes, headers: dict[str, str]) -> None:
    response = answer(HttpRequest("POST", "/", "", headers | {"content-encoding": "gzip"}, packed))

    assert response.status == 400


def test_unreadable_dates_in_headers_are_as_good_as_none() -> None:
    request = HttpRequest("GET", "/b/k", "", {"if-modified-since": "yesterday, I think"})

    assert "IfModifiedSince" not in parse(route(request), request)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=60), text=st.text(max_size=30))
def test_noise_never_is_our_fault(body: bytes, text: str) -> None:
    signed = {"authorization": signature("s3")}
    for request in (
        HttpRequest("POST", "/", "", CREATE, body),
        HttpRequest("POST", "/", "", CREATE, text.encode()),
        HttpRequest("POST", "/", "", FORM, b"Action=AssumeRole&Version=2011-06-15&" + body),
        HttpRequest("POST", CBOR_PATH, "", {}, body),
        HttpRequest("POST", "/bucket", "delete", signed, b"<Delete>" + body + b"</Delete>"),
        HttpRequest("GET", "/bucket/" + body.decode("latin-1"), "list-type=2", signed),
        HttpRequest("GET", "/bucket", text, signed),
        HttpRequest("PUT", text, "", {"x-amz-target": text, "host": text, "authorization": text}),
    ):
        assert answer(request).status in (200, 400, 405, 501)


@pytest.mark.parametrize(("service", "protocol"), WIRES)
def test_a_damaged_request_of_any_operation_never_is_our_fault(service: str, protocol: str) -> None:
    chance = random.Random(service + protocol)
    for operation in operations(service):
        values = Values(operation.name, milliseconds=False)
        params = values.of(operation.input_shape) if operation.input_shape else {}
        good = request_of(operation, protocol, params)
        body = bytearray(good.body)
        for _ in range(chance.randint(1, 4) if body else 0):
            body[chance.randrange(len(body))] = chance.randrange(256)
        damaged = HttpRequest(good.method, good.path, good.query, good.headers, bytes(body))
        assert answer(damaged).status in (200, 202, 204, 400, 405, 501), operation.name
