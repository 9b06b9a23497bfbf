"""A page of keys, with those that share a folder-like beginning folded into one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from sagedock.store.object_schema import OBJECT_COLUMNS, ObjectRecord, object_from


@dataclass(slots=True)
class Page:
    """Objects and common prefixes, each in the order of their UTF-8 bytes; `next_after` is where
    the next page starts, None on the last."""

    objects: list[ObjectRecord] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_after: str | None = None

    def __len__(self) -> int:
        return len(self.objects) + len(self.prefixes)


def list_page(
    connection: sqlite3.Connection, bucket: str, prefix: str, after: str, limit: int, delimiter: str
) -> Page:
    """Up to `limit` keys and common prefixes after `after`.

    A common prefix is everything up to and including the first `delimiter` behind `prefix`; it
    counts as one entry, and one that `after` equals is not named again
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html). Its keys are skipped
    by one look-up in the index, not read.
    """
    page = Page()
    if limit <= 0:
        return page
    last = ""
    for entry in _entries(connection, bucket, prefix, after, delimiter):
        if len(page) == limit:
            page.next_after = last
            break
        if isinstance(entry, str):
            page.prefixes.append(entry)
            last = entry
        else:
            page.objects.append(entry)
            last = entry.key
    return page


def _entries(
    connection: sqlite3.Connection, bucket: str, prefix: str, after: str, delimiter: str
) -> Iterator[ObjectRecord | str]:
    """Objects and common prefixes (as text) after `after`, in order."""
    end = successor(prefix) if prefix else None
    start: str | None = max(after, prefix)
    comparison = ">" if after >= prefix else ">="
    if after and _common_prefix(after, prefix, delimiter) == after:
        start, comparison = successor(after), ">="
    while start is not None:
        query = f"SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key {comparison} ?"
        values = [bucket, start]
        if end is not None:
            query += " AND key < ?"
            values.append(end)
        start, comparison = None, ">="
        for row in connection.execute(query + " ORDER BY key", values):
            folded = _common_prefix(row["key"], prefix, delimiter)
            if folded is not None:
                yield folded
                start = successor(folded)
                break
            yield object_from(row)


def _common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    if not delimiter or not key.startswith(prefix):
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def successor(prefix: str) -> str | None:
    """The smallest string above everything that starts with `prefix`; None if there is none.

    Code points and UTF-8 bytes have the same order; surrogates are no characters and are skipped.
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
