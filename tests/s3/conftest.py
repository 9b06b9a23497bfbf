from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagedock.store.objects import Objects

_numbers = itertools.count()


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    """A store of its own, with a bucket `box`."""
    store = Objects.at(tmp_path)
    store.create_bucket("box")
    yield store
    store.close()


@pytest.fixture(scope="module")
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
