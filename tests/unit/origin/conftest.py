"""An origin of one file."""

import pytest

from tests.origin import Origin
from tests.unit.origin.made import MODEL, Make


@pytest.fixture
def origin(origin_factory: Make) -> Origin:
    return origin_factory({"m": MODEL})
