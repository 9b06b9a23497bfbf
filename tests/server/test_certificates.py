"""The local certificate authority: what it makes, keeps and trusts."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from sagedock.server.certificates import Authority

AWS = "sts.us-east-1.amazonaws.com"


def handshake(authority: Authority, host: str, expected: str, cafile: Path) -> None:
    """Raises ssl.SSLError when a client that trusts `cafile` refuses us as `expected`."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            authority.context_for(host).wrap_socket(ours, server_side=True).close()
        except OSError:  # the client refused
            ours.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(cafile))
        context.wrap_socket(theirs, server_hostname=expected).close()
    finally:
        theirs.close()
        server.join()


def test_a_client_that_trusts_the_authority_accepts_an_aws_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    handshake(authority, AWS, AWS, authority.ca_path)


def test_the_key_can_sign_for_no_other_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    with pytest.raises(ssl.SSLError, match="permitted subtree violation"):
        handshake(authority, "www.example.com", "www.example.com", authority.ca_path)


def test_the_authority_is_kept_over_restarts(tmp_path: Path) -> None:
    first = Authority(tmp_path).ca_path.read_bytes()

    again = Authority(tmp_path)

    assert again.ca_path.read_bytes() == first
    handshake(again, AWS, AWS, again.ca_path)


@pytest.mark.parametrize("damaged", ["ca.key", "ca.pem"])
def test_a_damaged_authority_is_made_anew(tmp_path: Path, damaged: str) -> None:
    Authority(tmp_path)
    (tmp_path / damaged).write_bytes(b"-----BEGIN NONSENSE-----")

    authority = Authority(tmp_path)

    handshake(authority, AWS, AWS, authority.ca_path)


def test_the_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    Authority(tmp_path)

    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_the_bundle_has_the_usual_authorities_and_ours(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    bundle = authority.bundle({}).read_bytes()

    assert authority.ca_path.read_bytes() in bundle
    assert bundle.count(b"BEGIN CERTIFICATE") > 50


def test_the_bundle_is_built_on_the_users_own(tmp_path: Path) -> None:
    company = Authority(tmp_path / "company").ca_path
    authority = Authority(tmp_path / "tls")

    bundle = authority.bundle({"REQUESTS_CA_BUNDLE": str(company)}).read_bytes()

    assert bundle == company.read_bytes() + authority.ca_path.read_bytes()


def test_the_bundle_is_not_built_on_itself(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    first = authority.bundle({})
    size = first.stat().st_size

    again = authority.bundle({"AWS_CA_BUNDLE": str(first)})

    assert again.stat().st_size == size


def test_a_context_is_made_once_per_host(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    assert authority.context_for(AWS) is authority.context_for(AWS.upper() + ".")
