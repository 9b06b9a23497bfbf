"""Where a copy comes from, and what its bytes add up to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sagedock.services.operation import Request
from sagedock.store.checksums import ALGORITHMS, encoded
from sagedock.store.object_errors import invalid_argument, no_such_version

_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class CopySource:
    bucket: str
    key: str

    @classmethod
    def of(cls, request: Request) -> CopySource:
        """From x-amz-copy-source, `/bucket/key?versionId=null` percent-encoded, the first slash
        and the version optional. Raises InvalidArgument and NoSuchVersion."""
        text, _, version = str(request["CopySource"]).partition("?versionId=")
        if version not in ("", "null"):
            raise no_such_version(version)
        bucket, _, key = unquote(text).removeprefix("/").partition("/")
        if not bucket or not key:
            raise invalid_argument(
                "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
                "x-amz-copy-source",
                request["CopySource"],
            )
        return cls(bucket, key)


def digests_of(path: Path, algorithms: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The MD5, hexadecimal, and further checksums by algorithm, base64, of a whole file."""
    md5 = hashlib.md5()
    digests = {name: ALGORITHMS[name]() for name in algorithms}
    with open(path, "rb", buffering=0) as file:
        while data := file.read(_STEP):
            md5.update(data)
            for digest in digests.values():
                digest.update(data)
    return md5.hexdigest(), {name: encoded(digest.digest()) for name, digest in digests.items()}
