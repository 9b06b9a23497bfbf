"""The user's code as bytes: download it, unpack it, and let nothing out of its folder.

AWS's libraries download with boto3 and call a plain `extractall` (container support 1.x and the
training toolkit alike). Here a member that would land outside the folder is left out with a
warning that names it, and an archive that cannot be read is an error that names its URI.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from sagedock_toolkit.errors import UserCodeError

if TYPE_CHECKING:
    import tarfile
import time

log = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT_SECONDS = 60
RESTART_PATIENCE_SECONDS = 15
"""How long to try again while nobody answers: an emulator that is started again takes a second or
two, and a job that it had promised is not to fail for that."""


def download_and_extract(uri: str, folder: str) -> None:
    """Unpack `s3://bucket/key` into `folder`, reading it as it arrives."""
    with _open_s3(uri) as stream:
        _extract(stream, uri, folder)


def copy_or_extract(path: str, folder: str) -> None:
    """Put a folder's content, a .tar.gz's members or one file into `folder`."""
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(path):
        _copy_tree(path, folder)
    elif path.endswith((".tar.gz", ".tgz")):
        with open(path, "rb") as stream:
            _extract(stream, path, folder)
    else:
        shutil.copy2(path, os.path.join(folder, os.path.basename(path)))


def _copy_tree(source: str, folder: str) -> None:
    if os.path.realpath(source) == os.path.realpath(folder):
        return
    for entry in os.scandir(source):
        target = os.path.join(folder, entry.name)
        if entry.is_dir(follow_symlinks=False):
            os.makedirs(target, exist_ok=True)
            _copy_tree(entry.path, target)
        else:
            shutil.copy2(entry.path, target, follow_symlinks=False)


def _open_s3(uri: str) -> Any:
    """The object as a readable stream.

    From an emulator (an endpoint that begins with http://) by a plain unsigned path-style GET,
    which spares the import of boto3 (half a second); else with boto3. S3_ENDPOINT_URL is what the
    SDK's local mode sets.
    """
    named = map(os.environ.get, ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "S3_ENDPOINT_URL"))
    endpoint = next(filter(None, named), "")
    bucket, _, key = uri[len("s3://") :].partition("/")
    if not bucket or not key:
        raise UserCodeError(f"The source {uri!r} is no s3://bucket/key address.")
    if endpoint.startswith("http://"):
        return _plain_get(endpoint, bucket, key, uri)
    return _signed_get(bucket, key, uri)


def _plain_get(endpoint: str, bucket: str, key: str, uri: str) -> Any:
    import http.client

    address = urlsplit(endpoint)
    if address.hostname is None:
        raise UserCodeError(f"AWS_ENDPOINT_URL is {endpoint!r}, which names no host.")
    path = f"{address.path.rstrip('/')}/{quote(bucket)}/{quote(key, safe='/~')}"
    last_try = time.monotonic() + RESTART_PATIENCE_SECONDS
    while True:
        connection = http.client.HTTPConnection(
            address.hostname, address.port or 80, timeout=DOWNLOAD_TIMEOUT_SECONDS
        )
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            break
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if time.monotonic() > last_try:
                raise UserCodeError(f"Cannot fetch {uri} from {endpoint}: {error}") from error
            time.sleep(0.25)
    if answer.status != 200:
        said = answer.read(500).decode("utf-8", "replace")
        connection.close()
        reason = "there is no such object" if answer.status == 404 else said
        raise UserCodeError(f"Cannot fetch {uri} from {endpoint}: {answer.status}, {reason}")
    return answer


def _signed_get(bucket: str, key: str, uri: str) -> Any:
    try:
        import boto3
    except ImportError as error:
        raise UserCodeError(
            f"Cannot fetch {uri}: AWS_ENDPOINT_URL names no http:// endpoint, and boto3, which "
            "would be asked for it then, is not installed here."
        ) from error
    import contextlib

    try:
        answer = boto3.client("s3").get_object(Bucket=bucket, Key=key)
    except Exception as error:  # botocore's own hierarchy, which we must not import to name
        raise UserCodeError(f"Cannot fetch {uri}: {error}") from error
    return contextlib.closing(answer["Body"])


def _extract(stream: IO[bytes], uri: str, folder: str) -> None:
    """Unpack a gzip tar into `folder`; UserCodeError names `uri` when it is broken."""
    import tarfile
    import zlib

    os.makedirs(folder, exist_ok=True)
    root = os.path.realpath(folder)
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|gz") as archive:
            for member in archive:
                if _may_extract(member, root, uri):
                    _extract_member(archive, member, root)
                    count += 1
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise UserCodeError(_broken(uri, str(error))) from error
    if count == 0:
        raise UserCodeError(_broken(uri, "it has no file in it"))


def _broken(uri: str, why: str) -> str:
    return (
        f"The source archive {uri} cannot be unpacked: {why or 'it ends too soon'}. "
        "It has to be a gzip-compressed tar with the entry point at its root."
    )


def _may_extract(member: tarfile.TarInfo, root: str, uri: str) -> bool:
    """Whether this member stays inside; says so in the log where it does not."""
    why = _harm(member, root)
    if why:
        log.warning("%s: member %r is left out: %s", uri, member.name, why)
    return not why


def _harm(member: tarfile.TarInfo, root: str) -> str:
    if os.path.isabs(member.name):
        return "its path is absolute"
    # realpath follows links that earlier members made.
    if not _inside(os.path.realpath(os.path.join(root, member.name)), root):
        return "its path leads out of the folder"
    if not (member.isfile() or member.isdir() or member.issym() or member.islnk()):
        return "it is a device or a pipe"
    if member.issym() or member.islnk():
        start = os.path.dirname(member.name) if member.issym() else ""
        target = os.path.realpath(os.path.join(root, start, member.linkname))
        if not _inside(target, root):
            return f"it is a link to {member.linkname!r}, outside the folder"
    return ""


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _extract_member(archive: tarfile.TarFile, member: tarfile.TarInfo, root: str) -> None:
    """Extract one checked member, over what is there, as a file of ours that we may read."""
    # Extracted by root, it would belong to whoever packed it.
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    member.mode = (member.mode or 0) & 0o777 | (0o700 if member.isdir() else 0o600)
    target = os.path.join(root, member.name)
    if os.path.islink(target) or (os.path.isfile(target) and not member.isdir()):
        os.unlink(target)
    if sys.version_info >= (3, 12):
        archive.extract(member, root, filter="fully_trusted")
    else:
        archive.extract(member, root)
