"""The servers that the mission document's examples speak with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Certificates
from tests.mission.world import MISTRAL, World


@pytest.fixture
def world(home: Path, tmp_path: Path, tls: Certificates) -> Iterator[World]:
    with World(tmp_path, tls) as world:
        yield world


@pytest.fixture
def mistral(world: World) -> dict[str, bytes]:
    """The repository that the shortcut `mistral` stands for, on the Hub."""
    return world.publish(MISTRAL)
