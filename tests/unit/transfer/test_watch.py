"""The watch over lanes: figures in, leases to take away out. Cells are real, time is given."""

import time
from typing import Any

import pytest

from engine.transfer.cells import BODY, UNLIMITED, WAITING, Cells
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
    """After half a second and four usual waits, under three tenths of the median."""
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
        watch.end(slots.pop(number), now + 0.5, wait_s=0.01, is_revoked=False, has_failed=False)
    for tenth in range(6, 60):
        slots[0].cell.add_received(100)
        found = look(watch, slots, now + tenth / 10)
    assert found == [(0, "slow")]


def test_slow_lanes_are_replaced_at_once_but_not_for_ever() -> None:
    """Where edges differ each is a new draw; a line that is just uneven costs a connection in three seconds."""
    now = time.monotonic()
    watch = Watch(10)
    replaced = []
    slots = slots_at_work(watch, 40, now)
    look(watch, slots, now)
    for tenth in range(1, 400):
        for number, slot in slots.items():
            slot.cell.add_received(100_000 if number < 30 else 1_000)
        replaced.append(len(look(watch, slots, now + tenth / 10)))
    assert replaced[7] == 0
    assert replaced[9:14] == [10, 10, 10, 10, 10]  # at nine tenths the clock's last digit decides
    assert 64 + 10 <= sum(replaced) <= 64 + 15


def test_a_slow_stream_is_left_alone_and_uses_nothing_up() -> None:
    """It would begin again at zero; others may still be replaced."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 8, now)
    watch.look(slots, now, done_bytes=0, is_limited=False)
    found = []
    for tenth in range(1, 100):
        for number, slot in slots.items():
            slot.cell.add_received(100_000 if number > 1 else 1_000)
        moment = now + tenth / 10
        found = watch.look(
            slots, moment, done_bytes=0, is_limited=False, streams={0, 1} if tenth < 99 else {0}
        )
        assert tenth == 99 or not found
    assert [(verdict.lease, verdict.kind) for verdict in found] == [(1, "slow")]


def test_a_slow_lane_is_left_alone_while_no_new_connection_is_to_be_had() -> None:
    """It would be given up for nothing; one that stands still brings nothing anyway."""
    now = time.monotonic()
    watch = Watch(0.5)
    slots = slots_at_work(watch, 8, now)
    found = []
    for tenth in range(100):
        for number, slot in slots.items():
            slot.cell.add_received(100_000 if number > 1 else 1_000)
        found = watch.look(slots, now + tenth / 10, done_bytes=0, is_limited=False, takes_new=tenth == 99)
        assert tenth == 99 or not found
    assert {verdict.lease for verdict in found} == {0, 1}
    time.sleep(0.6)
    found = watch.look(slots, now + 10, done_bytes=0, is_limited=False, takes_new=False)
    assert {verdict.kind for verdict in found} == {"stalled"}


def test_what_a_lane_may_be_expected_to_bring() -> None:
    """What it brought of late; like the others while it is new; nothing once it waits for longer than is usual."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 2, now)
    busy, waiting = slots.values()
    waiting.cell.set_state(WAITING)
    expected = []
    for tenth in range(1, 9):
        busy.cell.add_received(100_000 if tenth <= 5 else 0)
        look(watch, slots, now + tenth / 10)
        expected.append([watch.rate_lately(slot, now + tenth / 10, 7e6) for slot in (busy, waiting)])
    lately = [busy for busy, _ in expected]
    assert lately[:2] == [7e6, 7e6]
    assert lately[4] == pytest.approx(1e6)
    assert lately[4] > lately[5] > lately[6] > 0
    assert [of_waiting for _, of_waiting in expected][3:6] == [7e6, 7e6, 0.0]


@pytest.mark.parametrize(("wait_s", "seconds"), [(0.001, 0.2), (0.01, 0.5), (0.1, 2.0)])
def test_a_lease_is_as_long_as_asking_for_it_is_cheap(wait_s: float, seconds: float) -> None:
    """Fifty usual waits of the lane's work, within a fifth of a second and two."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 2, now)
    look(watch, slots, now)
    for slot in slots.values():
        slot.cell.add_received(10_000_000)
    look(watch, slots, now + 1)
    watch.end(slots[1], now + 1, wait_s=wait_s, is_revoked=False, has_failed=False)
    assert watch.lease_bytes(slots[0]) == pytest.approx(10_000_000 * seconds)


def test_taking_over_from_a_lane_that_had_nothing_makes_patient() -> None:
    """A server that takes its time for every answer would take it for the next one, too."""
    now = time.monotonic()
    watch = Watch(10)
    ((number, slot),) = slots_at_work(watch, 1, now).items()
    slot.cell.set_state(WAITING)
    assert watch.rate_lately(slot, now + 0.6, 7e6) == 0.0
    watch.gave_up(slot, now)
    assert watch.rate_lately(slot, now + 0.6, 7e6) == 7e6
    slot.cell.add_received(1 << 20)
    watch.gave_up(slot, now)
    assert watch.rate_lately(slot, now + 0.9, 7e6) == 0.0, "it had much: nothing was hasty"
    assert number == 0


def test_patience_wears_off() -> None:
    """Half of it is gone after half a minute without another attempt in vain."""
    now = time.monotonic()
    watch = Watch(10)
    for again in range(3):
        watch.gave_up(slots_at_work(watch, 1, now)[0], now + 2 * again)
    (slot,) = slots_at_work(watch, 1, now + 4).values()
    slot.cell.set_state(WAITING)
    assert watch.rate_lately(slot, now + 6, 7e6) == 7e6, "nearly eight times as patient as at first: 2.4 s"
    watch.begin(slot, 0, now + 64)
    assert watch.rate_lately(slot, now + 66, 7e6) == 0.0, "twice: 0.6 s"


def test_a_lane_that_trickles_makes_nobody_patient() -> None:
    """The server has answered it, and only the connection is slow: another one is a way out."""
    now = time.monotonic()
    watch = Watch(10)
    slots = slots_at_work(watch, 1, now)
    for tenth in range(8):
        slots[0].cell.add_received(400)
        look(watch, slots, now + tenth / 10)
    for again in range(5):
        watch.gave_up(slots[0], now + 0.8 + again)
    (slot,) = slots_at_work(watch, 1, now + 5).values()
    slot.cell.set_state(WAITING)
    assert watch.rate_lately(slot, now + 5.6, 7e6) == 0.0, "0.3 s and two usual waits, as at first"


def test_patience_doubles_while_nothing_comes_for_anybody_and_not_otherwise() -> None:
    """A line that is slow for all is not cut into pieces; one that moved between two stalls starts over."""
    watch, patience = Watch(1.0), []
    for now, done in enumerate((0, 0, 0, 0, 5, 5)):
        watch._note_stall(done, 10.0 * now)
        patience.append(watch._timeout_s)
    assert patience == [1.0, 2.0, 4.0, 4.0, 1.0, 2.0], "and four times is all"


def test_lanes_that_fall_silent_together_are_one_stall() -> None:
    """Many files of a dead host: patience for each of them would add up to hours."""
    watch = Watch(1.0)
    for now in (10.0, 10.1, 10.2, 10.9):
        watch._note_stall(0, now)
    assert watch._timeout_s == 1.0
    watch._note_stall(0, 13.0)
    watch._note_stall(0, 14.0)
    assert watch._timeout_s == 2.0
