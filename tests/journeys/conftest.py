from __future__ import annotations

import pytest

from journeys.traveller import Traveller
from sagedock import Emulator


@pytest.fixture(scope="module")
def traveller(emulator: Emulator) -> Traveller:
    """A user of the module's emulator, with data and scripts in a bucket."""
    return Traveller(emulator.client_kwargs).settle_in()
