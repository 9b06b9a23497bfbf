"""CIFAR-10 as a channel folder: train.rec and test.rec, ready to upload.

    python examples/cifar10/data.py                 the full set where it is found, else the sample
    python examples/cifar10/data.py --sample        the 6,000 pictures that lie beside this file
    python examples/cifar10/data.py --download      fetch the full set once (170 MB), keep it

The full set (50,000 + 10,000 pictures) is looked for in the folder that $SAGEDOCK_CIFAR10 names, in
../shared/data/cifar10 beside the repository, and where an earlier --download left it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import pickle
import shutil
import sys
import tarfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image
from recordio import Picture, read_pictures, write_pictures

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CHOSEN = dict(zip(CLASSES, (9, 0, 8, 6, 9, 0, 7, 2, 6, 4), strict=True))  # see cut_pictures
FILES = ("train.rec", "test.rec")
HERE = Path(__file__).resolve().parent
SAMPLE = HERE / "sample"
PICTURES = HERE / "pictures"
BESIDE_THE_REPOSITORY = HERE.parents[2] / "shared" / "data" / "cifar10"

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CHUNK_BYTES = 1 << 18

Tell = Callable[[str], None]


class DataError(Exception):
    """The set cannot be had; one sentence with a way out."""


@dataclass(frozen=True)
class Dataset:
    """A folder with train.rec and test.rec, and where it comes from."""

    folder: Path
    origin: str
    full: bool

    def counts(self) -> tuple[int, int]:
        """How many training and test pictures there are."""
        train, test = (sum(1 for _ in read_pictures(self.folder / name)) for name in FILES)
        return train, test

    def copy_to(self, folder: Path) -> Path:
        """Make `folder` a channel: the two files, as hard links where the disk allows it."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            target = folder / name
            target.unlink(missing_ok=True)
            try:
                os.link(self.folder / name, target)
            except OSError:  # another disk, or a disk without hard links
                shutil.copyfile(self.folder / name, target)
        return folder


def sample() -> Dataset:
    """The 5,000 + 1,000 pictures in the repository."""
    return Dataset(SAMPLE, "the sample in examples/cifar10/sample", full=False)


def full_set() -> Dataset | None:
    """All 60,000 pictures where they are on this machine, else None.

    Raises DataError when $SAGEDOCK_CIFAR10 names a folder that does not hold them.
    """
    named = os.environ.get("SAGEDOCK_CIFAR10")
    if named:
        folder = Path(named).expanduser()
        if not _holds_the_set(folder):
            raise DataError(
                f"SAGEDOCK_CIFAR10 is {named!r}, but that folder has no train.rec and test.rec;"
                " point it at one that has, or unset it."
            )
        return Dataset(folder, f"{named} (SAGEDOCK_CIFAR10)", full=True)
    if _holds_the_set(BESIDE_THE_REPOSITORY):
        return Dataset(BESIDE_THE_REPOSITORY, "../shared/data/cifar10", full=True)
    if _holds_the_set(cache()):
        return Dataset(cache(), f"{cache()} (downloaded earlier)", full=True)
    return None


def find() -> Dataset:
    """The full set where it is on this machine, else the sample."""
    return full_set() or sample()


def choose(*, full: bool = False, small: bool = False) -> Dataset:
    """The set asked for. Raises DataError when `full` is asked for and not on this machine."""
    if small:
        return sample()
    found = find()
    if full and not found.full:
        raise DataError(
            "The full CIFAR-10 is not on this machine; fetch it with"
            " `python examples/cifar10/data.py --download`, or set SAGEDOCK_CIFAR10 to a folder"
            " that holds its train.rec and test.rec."
        )
    return found


def cache() -> Path:
    """Where --download keeps what it fetched."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "sagedock" / "cifar10"


def _holds_the_set(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def download(tell: Tell, url: str = ARCHIVE_URL, sha256: str = ARCHIVE_SHA256) -> Dataset:
    """Fetch the archive its author publishes, check it, and turn it into RecordIO.

    An interrupted download goes on where it stopped. Raises DataError in one sentence.
    """
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / url.rsplit("/", 1)[-1]
    if not archive.is_file():
        _fetch(url, archive, tell)
    tell(f"checking {archive.name}")
    found = _sha256(archive)
    if found != sha256:
        archive.unlink()
        raise DataError(
            f"What {url} sent is not the archive its author published (SHA-256 {found},"
            f" expected {sha256}); it was deleted, try again."
        )
    _convert(archive, folder, tell)
    archive.unlink()
    return Dataset(folder, f"{folder} (from {url})", full=True)


def _fetch(url: str, target: Path, tell: Tell) -> None:
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            if answer.status != 206:
                have = 0  # the server sends everything again
            total = have + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if have else "wb") as file:
                _copy_telling(answer, file, have, total, tell)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == 416:
            part.unlink()  # what we have is longer than the file: not the same file any more
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{url} cannot be fetched ({reason}); run it again to go on where it stopped,"
            " or leave out --download to use the sample."
        ) from error
    if total and part.stat().st_size < total:
        raise DataError(f"{url} broke off; run it again to go on where it stopped.")
    part.replace(target)


def _copy_telling(source: IO[bytes], target: IO[bytes], have: int, total: int, tell: Tell) -> None:
    told = -1
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
        have += len(chunk)
        percent = 100 * have // total if total else 0
        if percent // 5 > told:
            told = percent // 5
            tell(f"downloading: {have / 1e6:.0f} of {total / 1e6:.0f} MB")


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def _convert(archive: Path, folder: Path, tell: Tell) -> None:
    """The archive's pickled batches as PNG pictures in train.rec and test.rec."""
    with tarfile.open(archive) as tar:
        members = {Path(member.name).name: member for member in tar.getmembers()}
        for target, names in (
            ("train.rec", [f"data_batch_{n}" for n in range(1, 6)]),
            ("test.rec", ["test_batch"]),
        ):
            tell(f"converting to {target}")
            batches = (tar.extractfile(members[name]) for name in names)
            # Written under another name first: a half-written file must not pass for the set.
            part = folder / (target + ".part")
            write_pictures(part, _pictures_of(batch for batch in batches if batch))
            part.replace(folder / target)


def _pictures_of(batches: Iterable[IO[bytes]]) -> Iterator[Picture]:
    number = 0
    for batch in batches:
        # A pickle can run code when loaded: safe here, since the archive's hash was checked.
        content: dict[bytes, Any] = pickle.load(batch, encoding="bytes")
        rows = np.asarray(content[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        for pixels, label in zip(rows, content[b"labels"], strict=True):
            encoded = io.BytesIO()
            Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, format="PNG")
            yield Picture(int(label), number, encoded.getvalue())
            number += 1


def cut_sample(source: Path, folder: Path) -> None:
    """How the sample was made: per class, the first 500 training and 100 test pictures."""
    for name, per_class in (("train.rec", 500), ("test.rec", 100)):
        write_pictures(folder / name, first_of_each_class(source / name, per_class))


def cut_pictures(source: Path, folder: Path) -> list[tuple[str, int]]:
    """How the ten pictures were made; returns each class and its record's number in test.rec.

    Of the ten pictures of each class that follow the sample's in test.rec, the one that a person
    recognises best: chosen by eye, before any net had seen them.
    """
    seen: Counter[int] = Counter()
    cut = []
    for number, picture in enumerate(read_pictures(source / "test.rec")):
        name = CLASSES[picture.label]
        if seen[picture.label] == 100 + CHOSEN[name]:
            pixels = Image.open(io.BytesIO(picture.encoded)).convert("RGB")
            pixels.save(folder / f"{name}.png")
            cut.append((name, number))
        seen[picture.label] += 1
    return cut


def first_of_each_class(path: Path, per_class: int) -> Iterator[Picture]:
    """The first `per_class` pictures of every class, in file order."""
    seen: Counter[int] = Counter()
    for picture in read_pictures(path):
        if seen[picture.label] < per_class:
            seen[picture.label] += 1
            yield picture


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("cifar10-data"), help="folder to write (%(default)s)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="the full set, or fail")
    which.add_argument("--sample", action="store_true", help="the sample, even where all is here")
    which.add_argument("--download", action="store_true", help="fetch the full set if need be")
    return parser.parse_args()


def main() -> int:
    """Write the channel folder; says on stdout what it holds."""
    options = _arguments()
    try:
        chosen = choose(full=options.full, small=options.sample)
        if options.download and not chosen.full:
            chosen = download(lambda line: print(line, file=sys.stderr, flush=True))
        folder = chosen.copy_to(options.out)
    except DataError as error:
        print(f"data.py: {error}", file=sys.stderr)
        return 1
    train, test = chosen.counts()
    print(f"{folder}: train.rec ({train:,} pictures), test.rec ({test:,}), from {chosen.origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
