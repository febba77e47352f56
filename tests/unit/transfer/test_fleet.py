"""engine.transfer.fleet: how many lanes and processes a pull may have."""

import pytest

from engine.settings import Settings
from engine.transfer import fleet
from engine.transfer.fleet import Sizing, first_lanes, size_fleet


@pytest.mark.parametrize(
    ("connections", "processes", "sizing"),
    [
        (1, 5, Sizing(1, 1)),
        (8, 2, Sizing(8, 2)),
        (3, 0, Sizing(3, 0)),
        (None, 2, Sizing(32, 2)),
        (2, None, Sizing(2, 1)),
    ],
)
def test_connections_are_a_ceiling(connections: int | None, processes: int | None, sizing: Sizing) -> None:
    """Never more lanes than were asked for, and never a process without a lane."""
    assert size_fleet(Settings(connections=connections, processes=processes)) == sizing


@pytest.mark.parametrize(("cores", "lanes"), [(1, 2), (2, 2), (3, 3), (64, 4)])
def test_a_lane_under_tls_has_a_core_of_its_own(
    cores: int, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two in one process wait for each other; without TLS four begin, whatever there is."""
    monkeypatch.setattr(fleet, "usable_cores", lambda: cores)
    assert first_lanes(is_tls=True) == lanes
    assert first_lanes(is_tls=False) == 4
