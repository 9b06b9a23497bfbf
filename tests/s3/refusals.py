from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError


@contextmanager
def refused(code: str, status: int, **fields: Any) -> Iterator[None]:
    """The call inside must be answered with this S3 error, and these members of it."""
    with pytest.raises(ClientError) as raised:
        yield
    response = raised.value.response
    found = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert found == (code, status), response["Error"]
    assert {name: response["Error"].get(name) for name in fields} == fields
