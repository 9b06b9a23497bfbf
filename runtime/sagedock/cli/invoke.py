"""sagedock invoke ENDPOINT FILE: one request to an endpoint, from a file."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TypeAlias

import click
from botocore.exceptions import ClientError

from sagedock.cli.address import home_option, required_url
from sagedock.cli.client import aws_client
from sagedock.errors import SagedockError, StartupError
from sagedock.settings import Settings

try:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image, UnidentifiedImageError
except ImportError as error:
    # The emulator's own image leaves both out: nothing else needs their 80 MB (runtime/Dockerfile).
    raise StartupError(
        f"`sagedock invoke` needs NumPy and Pillow, and this installation has no {error.name}. "
        "In the emulator's image they are left out: use a sagedock of your own, with "
        "AWS_ENDPOINT_URL naming this emulator."
    ) from error

_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".csv": "text/csv",
    ".npy": "application/x-npy",
    ".txt": "text/plain",
}
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

Pixels: TypeAlias = "npt.NDArray[np.uint8]"


@click.command("invoke")
@click.argument("endpoint")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="-")
@click.option("--content-type", help="Of the request; by the file's ending when left out.")
@click.option("--accept", default="application/json", show_default=True, help="Of the answer.")
@click.option("--variant", help="The production variant to ask; by weight when left out.")
@click.option("--size", metavar="WxH", help="Resize a picture first, e.g. 32x32.")
@home_option
def command(
    endpoint: str,
    file: Path,
    content_type: str | None,
    accept: str,
    variant: str | None,
    size: str | None,
    home: Path | None,
) -> None:
    """Send FILE (JSON, CSV, .npy, or a picture; - is stdin) to ENDPOINT and print the answer.

    A picture becomes a 1x3xHxW array of whole numbers 0 to 255, channels first, as JSON or, with
    --content-type application/x-npy, as NPY.
    """
    settings = Settings.read(home=home)
    body, content_type = _body(file, content_type, size)
    runtime = aws_client("sagemaker-runtime", required_url(settings), settings.region)
    more = {"TargetVariant": variant} if variant else {}
    try:
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint, Body=body, ContentType=content_type, Accept=accept, **more
        )
    except ClientError as error:
        raise SagedockError(
            f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
        ) from error
    sys.stdout.buffer.write(answer["Body"].read())
    if sys.stdout.isatty():
        click.echo()


def _body(file: Path, content_type: str | None, size: str | None) -> tuple[bytes, str]:
    """The request's bytes and their type."""
    if str(file) == "-":
        return sys.stdin.buffer.read(), content_type or "application/json"
    ending = file.suffix.lower()
    if ending in _PICTURES:
        return _array_body(picture_array(file, size), content_type or "application/json")
    try:
        return file.read_bytes(), content_type or _TYPES.get(ending, "application/octet-stream")
    except OSError as error:
        raise SagedockError(f"{file} cannot be read: {error.strerror}.") from error


def picture_array(file: Path, size: str | None = None) -> Pixels:
    """The picture as uint8 array 1x3xHxW (RGB). Raises SagedockError for what is no picture."""
    try:
        with Image.open(file) as picture:
            rgb = picture.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise SagedockError(f"{file} is no picture that can be read: {error}.") from error
    if size is not None:
        width, cross, height = size.lower().partition("x")
        if not (cross and width.isdigit() and height.isdigit() and int(width) and int(height)):
            raise SagedockError(f"--size is {size!r}; write WxH, for example 32x32.")
        rgb = rgb.resize((int(width), int(height)), Image.Resampling.LANCZOS)
    channels_last = np.asarray(rgb, dtype=np.uint8)
    array: Pixels = channels_last.transpose(2, 0, 1)[np.newaxis]
    return array


def _array_body(array: Pixels, content_type: str) -> tuple[bytes, str]:
    if content_type == "application/x-npy":
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue(), content_type
    return json.dumps(array.tolist()).encode(), content_type
