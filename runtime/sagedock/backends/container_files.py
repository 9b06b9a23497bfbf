"""Where the files lie that images and environments are made of: in the wheel, or in the checkout.

The checkout has them in containers/; a wheel carries the same tree in the folder `containers` of
this package, but for the toolkit's own package, which is a package beside sagedock in both.
"""

from __future__ import annotations

from pathlib import Path

from sagedock.domain.families import ImageFamily

_IN_WHEEL = Path(__file__).with_name("containers")
_IN_CHECKOUT = Path(__file__).parents[3] / "containers"


def containers() -> Path:
    """The folder in which the built-in families' files lie."""
    return _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT


def folder_of(family: ImageFamily) -> Path:
    """The folder from which a family names its files."""
    return family.folder or containers()
