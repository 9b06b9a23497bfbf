"""Multipart uploads: parts are files of their own until the upload is completed.

Sizes and rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sagedock.store.checksums import FULL_OBJECT_ALGORITHMS, composite, full_object
from sagedock.store.object_errors import (
    entity_too_small,
    invalid_part,
    invalid_part_order,
    malformed_xml,
    no_such_upload,
)
from sagedock.store.object_schema import (
    Details,
    ObjectRecord,
    Part,
    Upload,
    require_bucket,
    time_from,
    transaction,
)
from sagedock.store.objects import Condition, Content, Objects, check_key, put_row

MIN_PART_BYTES = 5 * 1024 * 1024
MAX_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as CompleteMultipartUpload names it; `checksum` None where the client sent none."""

    number: int
    etag: str
    checksum: str | None = None


class MultipartUploads:
    """The unfinished uploads of a home."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._database = objects.database

    def create(
        self,
        bucket: str,
        key: str,
        details: Details,
        checksum_algorithm: str | None = None,
        checksum_type: str | None = None,
    ) -> Upload:
        """Raises NoSuchBucket and KeyTooLongError."""
        check_key(key)
        upload = Upload(
            secrets.token_urlsafe(48),
            bucket,
            key,
            time_from(time.time()),
            details,
            checksum_algorithm,
            checksum_type,
        )
        described = {
            "details": details.as_json(),
            "checksum_algorithm": checksum_algorithm,
            "checksum_type": checksum_type,
        }
        with transaction(self._database) as connection:
            require_bucket(connection, bucket)
            connection.execute(
                "INSERT INTO uploads (id, bucket, key, initiated, details) VALUES (?, ?, ?, ?, ?)",
                (upload.id, bucket, key, upload.initiated.timestamp(), json.dumps(described)),
            )
        return upload

    def get(self, bucket: str, key: str, upload: str) -> Upload:
        """Raises NoSuchBucket and NoSuchUpload."""
        return _find(self._database.read(), bucket, key, upload)

    def put_part(self, upload: Upload, number: int, content: Content, checksum: str | None) -> Part:
        """Make `content` the part `number`, in place of an earlier one; where that fails its file
        is removed. Raises NoSuchUpload."""
        part = Part(
            number, content.file, content.size, content.etag, time_from(time.time()), checksum
        )
        try:
            with transaction(self._database) as connection:
                _find(connection, upload.bucket, upload.key, upload.id)
                replaced = connection.execute(
                    "SELECT file FROM parts WHERE upload = ? AND number = ?", (upload.id, number)
                ).fetchall()
                connection.execute(
                    "INSERT OR REPLACE INTO parts "
                    "(upload, number, file, size, etag, modified, checksum) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        upload.id,
                        number,
                        part.file,
                        part.size,
                        part.etag,
                        part.modified.timestamp(),
                        checksum,
                    ),
                )
        except BaseException:
            self._objects.files.remove([content.file])
            raise
        self._objects.files.remove([file for (file,) in replaced])
        return part

    def parts(self, upload: Upload, after: int = 0, limit: int | None = None) -> list[Part]:
        """The parts numbered above `after`, in order."""
        return _parts(self._database.read(), upload.id, after, limit)

    def complete(
        self,
        upload: Upload,
        named: Sequence[NamedPart],
        condition: Condition | None = None,
        verify: Callable[[Content], None] = lambda content: None,
    ) -> ObjectRecord:
        """Join the named parts to the object; parts that are not named are dropped, as S3 does.

        The ETag is the MD5 of the parts' MD5s and their number. Raises NoSuchUpload, InvalidPart,
        InvalidPartOrder, EntityTooSmall, MalformedXML (no part), and what `verify` raises of the
        whole and `condition` of what it replaces; the upload is then as it was.
        """
        chosen = _chosen(named, self.parts(upload))
        content = _whole(upload, chosen)
        verify(content)
        files = self._objects.files
        try:
            name = files.join([(part.file, 0, part.size) for part in chosen])
        except FileNotFoundError:  # completed, aborted or a part replaced meanwhile
            self.get(upload.bucket, upload.key, upload.id)
            raise invalid_part(chosen[-1].number, "or an earlier one was replaced") from None
        content = replace(content, file=name)
        try:
            with transaction(self._database) as connection:
                _find(connection, upload.bucket, upload.key, upload.id)
                record, replaced = put_row(
                    connection, upload.bucket, upload.key, content, condition
                )
                replaced += _remove(connection, upload.id)
        except BaseException:
            files.remove([name])
            raise
        files.remove(replaced)
        return record

    def abort(self, bucket: str, key: str, upload: str) -> None:
        """Raises NoSuchBucket and NoSuchUpload."""
        with transaction(self._database) as connection:
            _find(connection, bucket, key, upload)
            files = _remove(connection, upload)
        self._objects.files.remove(files)

    def page(
        self, bucket: str, prefix: str, after: tuple[str, str], limit: int
    ) -> tuple[list[Upload], bool]:
        """Uploads by (key, id) above `after` whose key starts with `prefix`, and whether there
        are more. Raises NoSuchBucket."""
        connection = self._database.read()
        require_bucket(connection, bucket)
        rows = connection.execute(
            "SELECT * FROM uploads WHERE bucket = ? AND (key, id) > (?, ?) "
            "AND substr(key, 1, ?) = ? ORDER BY key, id LIMIT ?",
            (bucket, *after, len(prefix), prefix, limit + 1),
        ).fetchall()
        return [_upload(row) for row in rows[:limit]], len(rows) > limit


def _chosen(named: Sequence[NamedPart], parts: Sequence[Part]) -> list[Part]:
    if not named:
        raise malformed_xml("CompleteMultipartUpload names no part; name at least one.")
    if any(first.number >= second.number for first, second in pairwise(named)):
        raise invalid_part_order()
    uploaded: Mapping[int, Part] = {part.number: part for part in parts}
    chosen = [_matching(name, uploaded.get(name.number)) for name in named]
    for part in chosen[:-1]:
        if part.size < MIN_PART_BYTES:
            raise entity_too_small(part.number, part.size, MIN_PART_BYTES)
    return chosen


def _matching(named: NamedPart, part: Part | None) -> Part:
    if part is None:
        raise invalid_part(named.number, "was never uploaded")
    if named.etag.strip('"') != part.etag:
        raise invalid_part(named.number, f'has the ETag "{part.etag}", not {named.etag}')
    if named.checksum is not None and part.checksum not in (None, named.checksum):
        raise invalid_part(named.number, f"has the checksum {part.checksum}, not {named.checksum}")
    return part


def _whole(upload: Upload, parts: Sequence[Part]) -> Content:
    """What the joined parts will be; without a file yet."""
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
    details = replace(
        upload.details,
        checksums=_checksums(upload, parts),
        part_sizes=tuple(part.size for part in parts),
    )
    size = sum(part.size for part in parts)
    return Content("", size, f"{digest}-{len(parts)}", details)


def _checksums(upload: Upload, parts: Sequence[Part]) -> dict[str, str]:
    algorithm = upload.checksum_algorithm
    known = [(part.checksum, part.size) for part in parts if part.checksum is not None]
    if algorithm is None or len(known) < len(parts):
        return {}
    if upload.checksum_type == "FULL_OBJECT" and algorithm in FULL_OBJECT_ALGORITHMS:
        value = full_object(algorithm, known)
    else:
        value = composite(algorithm, [checksum for checksum, _ in known])
    return {f"Checksum{algorithm}": value, "ChecksumType": upload.checksum_type or "COMPOSITE"}


def _find(connection: sqlite3.Connection, bucket: str, key: str, upload: str) -> Upload:
    row = connection.execute("SELECT * FROM uploads WHERE id = ?", (upload,)).fetchone()
    if row is None or (row["bucket"], row["key"]) != (bucket, key):
        require_bucket(connection, bucket)
        raise no_such_upload(upload)
    return _upload(row)


def _upload(row: sqlite3.Row) -> Upload:
    described = json.loads(row["details"])
    return Upload(
        row["id"],
        row["bucket"],
        row["key"],
        time_from(row["initiated"]),
        Details.from_json(described["details"]),
        described["checksum_algorithm"],
        described["checksum_type"],
    )


def _parts(
    connection: sqlite3.Connection, upload: str, after: int, limit: int | None
) -> list[Part]:
    rows = connection.execute(
        "SELECT number, file, size, etag, modified, checksum FROM parts "
        "WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
        (upload, after, -1 if limit is None else limit),
    )
    return [
        Part(number, file, size, etag, time_from(modified), checksum)
        for number, file, size, etag, modified, checksum in rows
    ]


def _remove(connection: sqlite3.Connection, upload: str) -> list[str]:
    files = connection.execute("SELECT file FROM parts WHERE upload = ?", (upload,)).fetchall()
    connection.execute("DELETE FROM parts WHERE upload = ?", (upload,))
    connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))
    return [file for (file,) in files]
