"""Which requests a browser may bring, and which names are ours."""

from __future__ import annotations

import pytest

from sagedock.server.origins import Fence, is_aws, is_loopback

OWN = "127.0.0.1:4599"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": OWN},
        {"host": "localhost"},
        {"host": "[::1]:4599"},
        {"host": "bucket.localhost:4599"},
        {"host": "bucket.s3.amazonaws.com"},
        {"host": "host.docker.internal:4599"},
        {"host": OWN, "origin": f"http://{OWN}", "sec-fetch-site": "same-origin"},
        {"host": OWN, "sec-fetch-site": "none"},
    ],
)
def test_programs_and_our_own_pages_are_welcome(headers: dict[str, str]) -> None:
    assert Fence("127.0.0.1").refusal(headers) is None


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"host": "rebound.example:4599"}, "'rebound.example:4599'"),
        ({"host": "127.0.0.1.evil.example"}, "'127.0.0.1.evil.example'"),
        ({"host": "amazonaws.com.evil.example"}, "'amazonaws.com.evil.example'"),
        ({"host": OWN, "origin": "https://evil.example"}, "'https://evil.example'"),
        ({"host": OWN, "origin": "null"}, "'null'"),
        ({"host": OWN, "origin": "http://[::1"}, "'http://[::1'"),
        ({"host": OWN, "origin": "http://localhost:3000"}, "'http://localhost:3000'"),
        ({"host": OWN, "sec-fetch-site": "cross-site"}, "cross-site"),
        ({"host": OWN, "sec-fetch-site": "same-site"}, "same-site"),
    ],
)
def test_other_sites_are_refused_in_a_sentence(headers: dict[str, str], word: str) -> None:
    said = Fence("127.0.0.1").refusal(headers)

    assert said is not None
    assert word in said


def test_a_link_to_one_of_our_pages_may_be_followed() -> None:
    visit = {"host": OWN, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    assert Fence("127.0.0.1").refusal(visit, is_page_visit=True) is None
    assert Fence("127.0.0.1").refusal(visit) is not None


def test_a_server_for_other_machines_is_called_by_any_name() -> None:
    assert Fence("0.0.0.0").refusal({"host": "build-server:4599"}) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sts.us-east-1.amazonaws.com", True),
        ("S3.CN-NORTH-1.AMAZONAWS.COM.CN", True),
        ("sagemaker.us-east-1.api.aws.", True),
        ("notamazonaws.com", False),
        ("amazonaws.com.evil.example", False),
        ("a b.amazonaws.com", False),
        ("console.aws.amazon.com", False),
    ],
)
def test_hosts_of_aws_are_known_by_their_domain(host: str, expected: bool) -> None:
    assert is_aws(host) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False)],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


@pytest.mark.parametrize(
    "host", ["sagedock:4599", "172.18.0.2:4599", "127.0.0.1:4599", "[fd00::2]"]
)
def test_a_server_that_is_published_locally_answers_to_its_neighbours(host: str) -> None:
    assert Fence("0.0.0.0", published_locally=True).refusal({"host": host}) is None


def test_a_server_that_is_published_locally_refuses_a_rebound_name() -> None:
    said = Fence("0.0.0.0", published_locally=True).refusal({"host": "rebound.example:4599"})

    assert said is not None
    assert "'rebound.example:4599'" in said
