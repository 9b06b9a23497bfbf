"""Which tags a request may give a resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sagedock.errors import ResourceLimitExceeded, ValidationException
from sagedock.store.resources import Tags

_RESERVED = "aws:"


def checked_tags(tags: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """`tags` as they are. Raises ValidationException for a key that stands twice ("Tag keys must
    be unique per resource", API_AddTags.html) or that AWS keeps to itself."""
    listed = list(tags)
    seen: set[str] = set()
    for tag in listed:
        key = tag["Key"]
        if key.lower().startswith(_RESERVED):
            raise ValidationException(
                f"Tag key '{key}' begins with '{_RESERVED}', which is reserved for AWS. "
                "Choose another key."
            )
        if key in seen:
            raise ValidationException(
                f"Tag key '{key}' is given twice. Tag keys must be unique per resource."
            )
        seen.add(key)
    return listed


def check_tag_count(
    before: Iterable[Mapping[str, str]], added: Iterable[Mapping[str, str]]
) -> None:
    """Raises ResourceLimitExceeded when a resource would have more than 50 tags."""
    count = len({tag["Key"] for tag in (*before, *added)})
    if count > Tags.LIMIT:
        raise ResourceLimitExceeded(
            f"The resource would have {count} tags; a resource can have {Tags.LIMIT} at the most."
        )
