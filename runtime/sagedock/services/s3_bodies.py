"""The bytes of an object on their way in and out, as the operations see them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from sagedock.errors import NotEmulated
from sagedock.services.operation import Request
from sagedock.store.checksums import ALGORITHMS, encoded
from sagedock.store.object_errors import (
    bad_digest,
    entity_too_large,
    incomplete_body,
    invalid_argument,
    invalid_digest,
    no_room,
)
from sagedock.store.object_files import NewFile
from sagedock.store.objects import Objects

MAX_PUT_BYTES = 5 * 1024**3
"""One PutObject or UploadPart: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""

_UNKNOWN = ("XXHASH64", "XXHASH3", "XXHASH128")
CHECKSUMS = (*ALGORITHMS, *_UNKNOWN)
"""Every algorithm whose value a request may carry as Checksum<name>."""


@dataclass(frozen=True, slots=True)
class OutgoingBody:
    """`length` bytes of an open file from `offset`; whoever sends them closes the file."""

    file: BinaryIO
    offset: int
    length: int


class IncomingBody:
    """The body of a PutObject or UploadPart: written to a file of the store and hashed as it
    comes. Either an operation has it `hand_over` its file, or it is
    `discard`ed. Making one touches no disk:
    the file is opened at the first write."""

    def __init__(
        self, objects: Objects, request: Request, algorithms: Iterable[str], length: int | None
    ) -> None:
        """`length`: bytes announced, None if unknown. Raises EntityTooLarge, InvalidDigest and
        InsufficientStorage before a byte was received."""
        if length is not None and length > MAX_PUT_BYTES:
            raise entity_too_large(length, MAX_PUT_BYTES)
        if length is not None and not objects.files.has_room_for(length):
            raise no_room(OSError(f"{length} bytes were announced"))
        self._sent = sent_checksums(request)
        self._content_md5 = content_md5(request)
        self._length = length
        self._md5 = hashlib.md5()
        self._digests = {name: ALGORITHMS[name]() for name in {*algorithms, *self._sent}}
        self._objects = objects
        self._file: NewFile | None = None
        self.size = 0
        self.checksums: dict[str, str] = {}

    def hand_over(self) -> str:
        """The finished file's name in the store; whoever asks has it, and `discard` leaves it."""
        name, self._file = self._opened().name, None
        return name

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    def write_all(self, pieces: Iterable[bytes]) -> None:
        """Raises EntityTooLarge and InsufficientStorage."""
        for data in pieces:
            self.size += len(data)
            if self.size > MAX_PUT_BYTES:
                raise entity_too_large(self.size, MAX_PUT_BYTES)
            self._md5.update(data)
            for digest in self._digests.values():
                digest.update(data)
            self._opened().write(data)

    def finish(self, trailing: Mapping[str, str]) -> None:
        """All bytes came; `trailing` are checksums by algorithm that followed them. Raises
        IncompleteBody and BadDigest."""
        self._opened().close()
        if self._length is not None and self.size != self._length:
            raise incomplete_body(self._length, self.size)
        if self._content_md5 is not None and self._content_md5 != self._md5.digest():
            raise bad_digest("Content-MD5", encoded(self._content_md5), encoded(self._md5.digest()))
        self.checksums = {name: encoded(digest.digest()) for name, digest in self._digests.items()}
        for name, value in {**self._sent, **trailing}.items():
            if name in self.checksums and self.checksums[name] != value:
                raise bad_digest(name, value, self.checksums[name])

    def discard(self) -> None:
        """Give the room back, unless the file was handed over."""
        if self._file is not None:
            self._file.discard()
            self._file = None

    def _opened(self) -> NewFile:
        if self._file is None:
            self._file = self._objects.new_file()
        return self._file


def check_document(document: bytes, md5: str | None, checksums: Mapping[str, str]) -> None:
    """The same checks for a document (the keys of DeleteObjects, tags), by what its headers say.
    Raises BadDigest and InvalidDigest."""
    sent = content_md5({"ContentMD5": md5})
    if sent is not None and sent != hashlib.md5(document).digest():
        raise bad_digest("Content-MD5", encoded(sent), encoded(hashlib.md5(document).digest()))
    members = {f"Checksum{name}": value for name, value in checksums.items()}
    for name, value in sent_checksums(members).items():
        digest = ALGORITHMS[name]()
        digest.update(document)
        if encoded(digest.digest()) != value:
            raise bad_digest(name, value, encoded(digest.digest()))


def sent_checksums(request: Request) -> dict[str, str]:
    """The checksums a request carries, by algorithm. Refuses those that we cannot compute: an
    object whose checksum nobody checked would only look safe."""
    sent = {name: request[f"Checksum{name}"] for name in CHECKSUMS if f"Checksum{name}" in request}
    for name, value in sent.items():
        known_algorithm(name)
        if not _is_digest(value, len(ALGORITHMS[name]().digest())):
            raise invalid_argument(
                f"Value for x-amz-checksum-{name.lower()} header is invalid: {value!r}.",
                f"x-amz-checksum-{name.lower()}",
                value,
            )
    return sent


def known_algorithm(name: str) -> str:
    """`name`, if it is an algorithm that we compute."""
    if name in _UNKNOWN:
        raise NotEmulated("s3", f"checksums by {name}", f"Use one of {', '.join(ALGORITHMS)}.")
    if name not in ALGORITHMS:
        raise invalid_argument(
            f"Checksum algorithm provided is unsupported: {name!r}. Use one of "
            f"{', '.join(ALGORITHMS)}.",
            "x-amz-checksum-algorithm",
            name,
        )
    return name


def content_md5(request: Request) -> bytes | None:
    value = request.get("ContentMD5")
    if value is None:
        return None
    if not _is_digest(value, 16):
        raise invalid_digest(value)
    return base64.b64decode(value)


def _is_digest(value: str, size: int) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == size
    except (binascii.Error, ValueError):
        return False
