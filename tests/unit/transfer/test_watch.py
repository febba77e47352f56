"""The watch over lanes: figures in, leases to take away out. Cells are real, time is given."""

import time
from typing import Any

from engine.transfer.cells import BODY, UNLIMITED, Cells
from engine.transfer.fleet import Slot
from engine.transfer.watch import Watch


class Host:
    """As much of a host as a slot looks at."""

    is_process = False

    def __init__(self, lanes: int) -> None:
        self.cells = Cells(lanes)
        for lane in range(lanes):
            self.cells[lane].set_allowance(UNLIMITED)


def slots_at_work(watch: Watch, lanes: int, now: float) -> dict[int, Slot]:
    host: Any = Host(lanes)
    slots = {number: Slot(host, number) for number in range(lanes)}
    for number, slot in slots.items():
        watch.begin(slot, number, now)
        slot.cell.set_state(BODY)
    return slots


def look(watch: Watch, slots: dict[int, Slot], now: float, done: int = 0) -> list[tuple[int, str]]:
    return [(v.lease, v.kind) for v in watch.look(slots, now, done_bytes=done, is_limited=False)]


def test_a_crawling_lane_among_fast_ones_is_named() -> None:
    """After three seconds, under a fifth of the median."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 4, now)
    look(watch, slots, now)
    for tenth in range(1, 40):
        for number, slot in slots.items():
            slot.cell.add_received(100_000 if number else 1_000)
        found = look(watch, slots, now + tenth / 10)
    assert found == [(0, "slow")]


def test_what_finished_lanes_reached_counts() -> None:
    """The last lane of a file is judged by those that have ended."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 4, now)
    look(watch, slots, now)
    for slot in slots.values():
        slot.cell.add_received(1_000_000)
    look(watch, slots, now + 0.5)
    for number in (1, 2, 3):
        watch.end(slots.pop(number), now + 0.5, is_revoked=False, has_failed=False)
    for tenth in range(6, 60):
        slots[0].cell.add_received(100)
        found = look(watch, slots, now + tenth / 10)
    assert found == [(0, "slow")]


def test_patience_doubles_while_nothing_comes_for_anybody_and_not_otherwise() -> None:
    """A line that is slow for all is not cut into pieces; one that moved between two stalls starts over."""
    watch = Watch(0.0)
    patience = []
    for done in (0, 0, 0, 5, 5):
        watch._first_timeout_s = 1.0
        watch._note_stall(done)
        patience.append(watch._timeout_s)
    assert patience == [1.0, 2.0, 4.0, 1.0, 2.0]
