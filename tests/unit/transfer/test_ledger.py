"""Which leases are out: entered once, struck once, revoked once."""

import queue

import pytest

from engine.settings import Settings
from engine.transfer.fleet import Slot
from engine.transfer.hosts import ThreadHost
from engine.transfer.ledger import Ledger
from engine.transport.auth import Credentials


@pytest.fixture
def inbox():
    return queue.SimpleQueue()


@pytest.fixture
def host(inbox):
    host = ThreadHost(Settings(), Credentials(), 2, inbox, max_block=1 << 20)
    yield host
    host.kill()


def test_numbers_are_never_used_again(host):
    """A lease that is over leaves its number behind."""
    ledger = Ledger()
    slot = Slot(host, 0)
    ledger.enter(slot, 7)
    assert (ledger.file_of(1), ledger.slots[1], len(ledger)) == (7, slot, 1)
    assert ledger.strike(1) is slot
    assert ledger.strike(1) is None
    ledger.enter(slot, 8)
    assert list(ledger.slots) == [2]


def test_lanes_of_a_file(host):
    """Of a file's leases, those that are out have a lane."""
    ledger = Ledger()
    for lane in (0, 1):
        ledger.enter(Slot(host, lane), 3)
    ledger.strike(1)
    assert [slot.lane for slot in ledger.at_work_on([1, 2, 9])] == [1]
    assert ledger.cells == [[host.cells[1]]]
    ledger.enter(Slot(host, 0), 4)
    assert ledger.cells == [[host.cells[1]], [host.cells[0]]]


def test_revoked_once(host, inbox):
    """However often a lease is taken back, its lane hears of it once, and the lease is out until its end is told."""
    ledger = Ledger()
    slot = Slot(host, 0)
    ledger.enter(slot, 0)
    ledger.revoke(1, 10.0)
    ledger.revoke(1, 20.0)
    assert (slot.revoked_at, len(ledger)) == (10.0, 1)
    assert inbox.empty(), "its lane has not taken it up, so it says so when it does"


def test_host_is_gone(host):
    """All its leases are over, and no other's."""
    ledger, other = Ledger(), ThreadHost(Settings(), Credentials(), 1, queue.SimpleQueue(), max_block=1 << 20)
    for slot in (Slot(host, 0), Slot(other, 0), Slot(host, 1)):
        ledger.enter(slot, 0)
    ledger.strike_host(host)
    assert list(ledger.slots) == [2]
    other.kill()


def test_unresponsive_host_is_ended_once(host):
    """Fifteen seconds after a revocation that nobody has acknowledged, and not again."""
    ledger, slot = Ledger(), Slot(host, 0)
    ledger.enter(slot, 0)
    ledger.revoke(1, 10.0)
    ledger.end_unresponsive(20.0)
    assert slot.revoked_at == 10.0
    ledger.end_unresponsive(25.5)
    assert slot.revoked_at is None
