"""Relief: whose lease is cut short, and when. Cells, ledger and watch are real; time is given."""

import time
from typing import Any

import pytest

from engine.spans import Span
from engine.transfer.cells import BODY, UNLIMITED, Cells
from engine.transfer.fleet import Slot
from engine.transfer.ledger import Ledger
from engine.transfer.messages import Shorten
from engine.transfer.relief import Relief
from engine.transfer.watch import Watch

MB = 1_000_000
LEASE = 8 * MB


class Host:
    """As much of a host as a slot looks at; it keeps what it is told."""

    is_process = False

    def __init__(self, lanes: int) -> None:
        self.cells = Cells(lanes)
        self.told: list[Any] = []
        for lane in range(lanes):
            self.cells[lane].set_allowance(UNLIMITED)

    def send(self, message: Any) -> None:
        self.told.append(message)


class Transfer:
    """A file all of whose leases are out, a lane each, one after the other."""

    def __init__(self, lanes: int, *, is_held_up: bool) -> None:
        self.is_held_up = is_held_up
        self._lanes = lanes

    def rests(self) -> list[tuple[int, Span]]:
        return [(n, Span((n - 1) * LEASE, n * LEASE)) for n in range(1, self._lanes + 1)]


@pytest.fixture
def at_work() -> tuple[Host, Relief, float]:
    """Four lanes half a second in, the first of which gets a fiftieth of what the others do."""
    host: Any = Host(4)
    ledger, watch, now = Ledger(), Watch(10), time.monotonic()
    for lane in range(4):
        slot = Slot(host, lane)
        watch.begin(slot, ledger.next_number, now)
        ledger.enter(slot, 0)
        slot.cell.set_state(BODY)
    for tenth in range(6):
        for slot in ledger.slots.values():
            slot.cell.add_received(MB if slot.lane else MB // 50)
        watch.look(ledger.slots, now + tenth / 10, done_bytes=0, is_limited=False)
    return host, Relief(ledger, watch), now + 0.5


def test_who_holds_up_the_hash_leaves_the_most_of_it_to_others(at_work: tuple[Host, Relief, float]) -> None:
    """The slow lane keeps about what it brings until another one has brought the rest; the others keep all of it."""
    host, relief, now = at_work
    transfers: Any = [Transfer(4, is_held_up=True)]
    relief.unblock(transfers, now)
    (order,) = host.told
    assert isinstance(order, Shorten)
    assert (order.lane, order.lease) == (0, 1)
    assert order.stop < LEASE // 10
    relief.unblock(transfers, now)
    assert host.told == [order], "it is asked once"


def test_nobody_is_cut_short_while_the_hash_has_work(at_work: tuple[Host, Relief, float]) -> None:
    host, relief, now = at_work
    transfers: Any = [Transfer(4, is_held_up=False)]
    relief.unblock(transfers, now)
    assert host.told == []
