"""A certificate authority of our own, for AWS's host names alone.

The SageMaker SDKs call `https://sts.REGION.amazonaws.com` whatever AWS_ENDPOINT_URL says. To answer
that call the proxy ends its TLS, and so needs a certificate the client trusts. The authority is
made on the first start and lives in the emulator's home. It is constrained by its own certificate
(name constraints) to AWS's domains, so that whoever steals its key cannot stand for anybody else;
it is never installed anywhere: clients are told of it by AWS_CA_BUNDLE, for as long as they run.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sagedock.server.bundles import replace_file, write_bundle
from sagedock.server.origins import AWS_DOMAINS

_AUTHORITY_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=397)  # the most that clients accept (CA/Browser Forum, 6.3.2)
_RENEWED_BEFORE: Final = timedelta(days=30)
_CLOCK_SKEW: Final = timedelta(days=1)
_KEPT_CONTEXTS: Final = 256


class Authority:
    """Signs for AWS's hosts. Everything it keeps is in `folder`; safe from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._contexts: OrderedDict[str, tuple[ssl.SSLContext, datetime]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)
        self._certificate, self._key = _load(folder) or _create(folder)

    @property
    def ca_path(self) -> Path:
        """The authority's certificate, PEM."""
        return self._folder / "ca.pem"

    def bundle(self, environment: Mapping[str, str] | None = None) -> Path:
        """A file with what the user trusts already and our authority, for AWS_CA_BUNDLE.

        That variable replaces the client's own bundle, so the usual authorities have to be in
        the file: those that the user names in AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE or SSL_CERT_FILE,
        else certifi's or the system's.
        """
        environment = os.environ if environment is None else environment
        path = self._folder / "bundle.pem"
        write_bundle(path, self.ca_path.read_bytes(), environment)
        return path

    def context_for(self, host: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `host`, made when first asked for."""
        host = host.lower().rstrip(".")
        now = datetime.now(timezone.utc)
        with self._lock:
            known = self._contexts.get(host)
            if known is not None and known[1] > now + _RENEWED_BEFORE:
                self._contexts.move_to_end(host)
                return known[0]
            ends = min(now + _LEAF_LIFE, self._certificate.not_valid_after_utc)
            context = self._new_context(host, ends)
            self._contexts[host] = context, ends
            if len(self._contexts) > _KEPT_CONTEXTS:
                self._contexts.popitem(last=False)
            return context

    def _new_context(self, host: str, ends: datetime) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = (
            _builder("sagedock", self._certificate.subject, key.public_key(), ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_names_key(self._key), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        # ssl reads certificates from files only.
        with NamedTemporaryFile(suffix=".pem", dir=self._folder) as file:
            file.write(leaf.public_bytes(Encoding.PEM) + _private_pem(key))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _load(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """The authority of an earlier start; None when there is none, it is near its end, or its
    files are damaged: a new one costs nobody anything."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(key, ec.EllipticCurvePrivateKey)
    ends = certificate.not_valid_after_utc
    if not is_ours or key.public_key() != certificate.public_key():
        return None
    if ends < datetime.now(timezone.utc) + _LEAF_LIFE:
        return None
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return certificate, key


def _create(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = "sagedock local authority for AWS host names"
    ends = datetime.now(timezone.utc) + _AUTHORITY_LIFE
    domains = [x509.DNSName(domain) for domain in AWS_DOMAINS]
    certificate = (
        _builder(name, _named(name), key.public_key(), ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signs_certificates(), critical=True)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=domains, excluded_subtrees=None), critical=True
        )
        .add_extension(_names_key(key), critical=False)
        .sign(key, hashes.SHA256())
    )
    replace_file(folder / "ca.key", _private_pem(key), mode=0o600)
    replace_file(folder / "ca.pem", certificate.public_bytes(Encoding.PEM), mode=0o644)
    return certificate, key


def _builder(
    name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(timezone.utc) - _CLOCK_SKEW)
        .not_valid_after(ends - _CLOCK_SKEW)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _names_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
