"""S3 data to channel folders, with no copy where the file system can."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sagedock.domain.training import Channel
from sagedock.errors import SagedockError, ServiceError
from sagedock.lifecycle.object_store import ObjectStore, split_uri


class DataDownloadFailed(SagedockError):
    """Fit for a FailureReason: "ClientError: Data download failed: …"."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object for one host: `relative` is its path below the channel's folder."""

    host: str
    bucket: str
    key: str
    relative: str


def deliveries(channel: Channel, hosts: tuple[str, ...], objects: ObjectStore) -> list[Delivery]:
    """Which host gets which object of the channel.

    A key keeps what follows the prefix as its relative path. ShardedByS3Key deals the objects out
    among the hosts, so that with more hosts than objects some get none (botocore documentation of
    S3DataSource). Raises DataDownloadFailed, also when there is nothing.
    """
    sharded = channel.distribution == "ShardedByS3Key"
    found = []
    with downloading(channel):
        for index, (bucket, key, relative) in enumerate(_members(channel, objects)):
            receivers = (hosts[index % len(hosts)],) if sharded else hosts
            found += [Delivery(host, bucket, key, relative) for host in receivers]
    if not found:
        raise DataDownloadFailed(
            f"ClientError: Data download failed: No S3 objects found under S3 URL "
            f'"{channel.s3_uri}" given in input data source.'
        )
    return found


@contextlib.contextmanager
def downloading(channel: Channel) -> Iterator[None]:
    """What goes wrong inside becomes DataDownloadFailed, which names the channel."""
    try:
        yield
    except (ServiceError, OSError, ValueError) as error:
        raise DataDownloadFailed(
            f"ClientError: Data download failed: channel {channel.name}, {channel.s3_uri}: {error}"
        ) from error


def _members(channel: Channel, objects: ObjectStore) -> Iterator[tuple[str, str, str]]:
    """(bucket, key, relative path) of each object of the channel, in the order of keys."""
    bucket, prefix = split_uri(channel.s3_uri)
    if channel.data_type == "ManifestFile":
        yield from _manifest(bucket, prefix, objects)
        return
    for entry in objects.list(bucket, prefix):
        # A prefix is text, not a folder: s3://b/in finds in/a and in-b/c alike, as in S3 itself.
        relative = relative_path(entry.key, prefix)
        if relative:
            yield bucket, entry.key, relative


def relative_path(key: str, prefix: str) -> str:
    """What of `key` is kept below the channel's folder; "" for the folder's own marker object.

    An object that *is* the prefix keeps its last part; otherwise the prefix, and the slash after
    it, is cut off (DG your-algorithms-training-algo-running-container: "File mode").
    """
    if key.endswith("/"):
        return ""
    if key == prefix:
        return key.rpartition("/")[2]
    rest = key[len(prefix) :]
    if prefix == "" or prefix.endswith("/") or rest.startswith("/"):
        return rest.lstrip("/")
    return prefix.rpartition("/")[2] + rest


def _manifest(bucket: str, key: str, objects: ObjectStore) -> Iterator[tuple[str, str, str]]:
    """A manifest is a JSON list: {"prefix": "s3://…"}, then keys below it (botocore documentation
    of S3DataSource.S3DataType)."""
    with objects.open(bucket, key) as file:
        entries = _json(file.read())
    head = entries[0] if isinstance(entries, list) and entries else None
    if not isinstance(head, dict) or not isinstance(head.get("prefix"), str):
        raise ValueError('the manifest has to be a list that begins with {"prefix": "s3://…"}')
    there, prefix = split_uri(head["prefix"])
    if not there:
        raise ValueError(f"the manifest's prefix {json.dumps(head['prefix'])} is no s3://bucket/…")
    for name in entries[1:]:
        if not isinstance(name, str):
            raise ValueError(f"the manifest's entry {json.dumps(name)} is no key")
        yield there, prefix + name, name


def _json(text: bytes) -> Any:
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()  # no halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the manifest is no JSON text in UTF-8 ({error})") from error
    return found
