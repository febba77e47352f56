"""engine.transfer.lane: what its host may count on. Bytes are the integration tests' business."""

import threading
from collections.abc import Callable

import pytest

from engine.settings import Settings
from engine.spans import Span
from engine.transfer.cells import Cells
from engine.transfer.lane import Lane
from engine.transfer.messages import LaneFree, Lease, LeaseEnded, Up
from engine.transport.auth import Credentials
from tests.origin import Origin


@pytest.fixture
def origin(origin_factory: Callable[..., Origin]) -> Origin:
    return origin_factory({"m.gguf": b"0123456789"})


class Host:
    """A lane with what it says."""

    def __init__(self) -> None:
        self.said: list[Up] = []
        self.free = threading.Event()
        self.gate = threading.Event()
        self.lane = Lane(0, Settings(), Credentials(), Cells(1)[0], {}, self._emit, turn=0)

    def _emit(self, message: Up) -> None:
        self.said.append(message)
        if isinstance(message, LaneFree):
            self.free.set()


def lease(number: int, url: str) -> Lease:
    return Lease(0, number, 0, url=url, span=Span(0, 10), is_probe=True)


def test_a_lease_that_is_revoked_before_it_is_taken_up_ends_all_the_same(origin: Origin) -> None:
    """The order may overtake the thread: the lease then ends unasked, once, and the lane is free for the next."""
    host = Host()
    host.lane.revoke(7)
    host.lane.take(lease(7, origin.url("m.gguf")))
    assert host.free.wait(10)
    host.lane.stop()
    host.lane.join(10)
    assert [type(message) for message in host.said] == [LeaseEnded, LaneFree]
    assert host.said[0] == LeaseEnded(0, 7, 0, is_revoked=True)
    assert origin.requests == []


def test_a_lane_that_is_stopped_while_it_waits_to_proceed_ends(origin: Origin) -> None:
    """The word to stop is for its loop, too: no thread stays behind."""
    before = set(threading.enumerate())
    host = Host()
    (thread,) = {thread for thread in threading.enumerate() if thread.name == "lane-0"} - before
    host.lane.take(lease(1, origin.url("m.gguf")))
    origin.ledger.wait(lambda: bool(origin.requests), 10, "the request")
    host.lane.stop()
    host.lane.join(10)
    assert not thread.is_alive()
