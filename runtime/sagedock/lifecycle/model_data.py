"""A model's data in S3 to the /opt/ml/model folder of its server."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagedock import archives
from sagedock.errors import SagedockError, ServiceError
from sagedock.lifecycle.object_store import ObjectStore, Staging, split_uri

log = logging.getLogger("sagedock.hosting")


class ModelDataMissing(SagedockError):
    """Fit for an endpoint's FailureReason."""


def stage_model(container: Mapping[str, Any], folder: Path, objects: ObjectStore) -> None:
    """Fill `folder` from ModelDataUrl (a gzip tar), or from ModelDataSource (a gzip tar, or a
    prefix or single object kept as it is); a container without either gets an empty folder.

    Raises ModelDataMissing, in AWS's words ("Could not find model data at …").
    """
    folder.mkdir(parents=True, exist_ok=True)
    uri, data_type, compression = _source(container)
    if uri is None:
        return
    bucket, key = split_uri(uri)
    try:
        if compression == "Gzip":
            with objects.open(bucket, key) as archive:
                left_out = archives.unpack(archive, folder)
            for name in left_out:
                log.warning("%s: member %r leads outside the archive and was left out", uri, name)
            return
        if not _stage_objects(objects, bucket, key, folder, whole_prefix=data_type == "S3Prefix"):
            raise ModelDataMissing(_missing(uri))
    except archives.BadArchive as error:
        raise ModelDataMissing(
            f"Failed to extract model data archive from URL {uri!r}: {error}. Make sure that it "
            "is a gzip tar file (.tar.gz)."
        ) from error
    except ServiceError as error:
        raise ModelDataMissing(_missing(uri)) from error
    except (OSError, ValueError) as error:
        raise ModelDataMissing(f"Failed to download model data from {uri}: {error}.") from error


def _stage_objects(
    objects: ObjectStore, bucket: str, key: str, folder: Path, whole_prefix: bool
) -> int:
    """Uncompressed model data: the one object, or all below the prefix; how many there were."""
    # The folder is mounted read-only, but a backend without mounts shows it as it is.
    staging = Staging(objects, by_mode=os.geteuid() != 0)
    count = 0
    for entry in objects.list(bucket, key):
        if entry.key.endswith("/") or (entry.key != key and not whole_prefix):
            continue
        relative = entry.key[len(key) :] if whole_prefix else key.rpartition("/")[2]
        staging.put_below(bucket, entry.key, folder, relative)
        count += 1
    return count


def _source(container: Mapping[str, Any]) -> tuple[str | None, str, str]:
    """(URI or None, S3Object or S3Prefix, Gzip or None)."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source:
        return source["S3Uri"], source["S3DataType"], source["CompressionType"]
    return container.get("ModelDataUrl"), "S3Object", "Gzip"


def _missing(uri: str) -> str:
    return (
        f"Could not find model data at {uri}. Make sure that the object exists, and that the "
        "URI is that of the training job's ModelArtifacts."
    )
