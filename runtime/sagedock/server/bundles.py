"""Files of authorities for AWS_CA_BUNDLE: what the user trusts already, and ours.

Apart from `certificates`, since `sagedock run` writes one too, and must not wait for cryptography.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkstemp
from typing import Final

_VARIABLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def write_bundle(path: Path, authority: bytes, environment: Mapping[str, str]) -> None:
    """`authority` (PEM) behind what the user with that `environment` trusts."""
    usual = _usual(environment, path)
    content = usual.rstrip() + b"\n" + authority if usual else authority
    replace_file(path, content, mode=0o644)


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Replace the file as a whole: a reader sees the old one or the new one."""
    descriptor, temporary = mkstemp(dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _usual(environment: Mapping[str, str], own: Path) -> bytes:
    """PEM of what this user trusts without us; empty when nothing is found."""
    named = [environment[name] for name in _VARIABLES if environment.get(name)]
    for path in [*map(Path, named), *_default_bundles()]:
        # Inside `sagedock run` the variables name our own bundle: it is not built upon itself.
        with suppress(OSError):
            if path.is_file() and not (own.exists() and path.samefile(own)):
                return path.read_bytes()
    return b""


def _default_bundles() -> list[Path]:
    """Where botocore would look: certifi if it is installed, else its own copy; then the system's
    (botocore/httpsession.py, where_get_cacert)."""
    found: list[Path] = []
    for package, name in (("certifi", "cacert.pem"), ("botocore", "cacert.pem")):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / name)
    system = ssl.get_default_verify_paths()
    found += [Path(path) for path in (system.cafile, system.openssl_cafile) if path]
    return found
