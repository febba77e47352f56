"""engine.transfer.fleet: how many lanes and processes a pull may have."""

import queue
import time
from types import SimpleNamespace
from typing import Any

import pytest

from engine.settings import Settings
from engine.transfer import fleet
from engine.transfer.cells import BODY, Cells
from engine.transfer.fleet import Sizing, Slot, first_lanes, size_fleet
from engine.transport.auth import Credentials


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


def test_a_lane_that_could_not_connect_is_no_help() -> None:
    """It is asked last, and takes nothing from a lane that has a connection."""
    group = fleet.Fleet(Settings(), Credentials(), queue.SimpleQueue())
    host: Any = SimpleNamespace(cells=Cells(3), is_process=False, has_spoken=True)
    group.slots.extend(Slot(host, lane) for lane in range(3))
    group.slots[0].has_failed, group.slots[1].lease = True, 7
    assert [slot.lane for slot in group.idle_slots()] == [2, 0]
    assert group.helpful_count == 1


def test_how_bursty_a_link_is_the_busy_lanes_tell() -> None:
    """Two lanes that hardly get a byte bring it in rare bursts, which say nothing of those that fill the link."""
    group = fleet.Fleet(Settings(), Credentials(), queue.SimpleQueue())
    host: Any = SimpleNamespace(cells=Cells(4), is_process=False)
    group.slots.extend(Slot(host, lane) for lane in range(4))
    for slot in group.slots:
        slot.cell.set_state(BODY)
        slot.cell.add_received(1_000)
    quiet_s = 0.05
    time.sleep(quiet_s)
    for slot in group.slots[:2]:
        slot.cell.add_received(1_000_000)
    assert group.silent_s < quiet_s <= group.slots[3].cell.silent_s
