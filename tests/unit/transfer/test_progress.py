"""Progress of one file: never back, never over, and honest about what is not known."""

import pytest

from engine.remote_file import RemoteFile, RemoteName
from engine.transfer.progress import Tracker
from engine.transfer.tally import Tally


def report(tracker, now, done, size=1000, hashed=0):
    return tracker.report(
        now, file="a", path="/a", phase="downloading", done=done, hashed=hashed, size=size, lanes=2
    )


def test_never_back_and_never_over():
    """A late report changes nothing; more than the size is not shown."""
    tracker = Tracker(0.0)
    assert [report(tracker, t, done).done_bytes for t, done in [(1, 400), (2, 300), (3, 1200)]] == [
        400,
        400,
        1000,
    ]


def test_rate_and_eta():
    """Bytes a second over the last seconds, and how long the rest takes at that rate."""
    tracker = Tracker(0.0)
    report(tracker, 0.0, 0)
    event = report(tracker, 2.0, 200)
    assert event.bytes_per_s == pytest.approx(100)
    assert event.eta_s == pytest.approx(8)


def test_held_bytes_are_no_speed():
    """What an earlier run left is done, but was not fetched now."""
    tracker = Tracker(0.0)
    assert report(tracker, 1.0, 900).bytes_per_s == 0.0
    assert report(tracker, 2.0, 950).bytes_per_s == pytest.approx(25, rel=0.1)


def test_unknown_size_has_no_eta():
    """A stream of unknown length has a rate and no end."""
    tracker = Tracker(0.0)
    report(tracker, 0.0, 0, size=None)
    event = report(tracker, 1.0, 50, size=None)
    assert (event.size, event.eta_s, event.done_bytes) == (None, None, 50)
    assert event.bytes_per_s == pytest.approx(50)


def test_rate_decays():
    """When nothing comes the rate falls to nothing and the remaining time is unknown, not endless."""
    tracker = Tracker(0.0)
    report(tracker, 0.0, 0)
    report(tracker, 1.0, 500)
    for tick in range(2, 9):
        event = report(tracker, float(tick), 500)
    assert event.bytes_per_s == 0.0
    assert event.eta_s is None


def test_reset():
    """A file that starts again starts at zero, and its rate is never negative."""
    tracker = Tracker(0.0)
    report(tracker, 0.0, 0)
    report(tracker, 1.0, 900)
    tracker.reset(2.0)
    event = report(tracker, 2.1, 0)
    assert (event.done_bytes, event.bytes_per_s, event.eta_s) == (0, 0.0, None)
    assert report(tracker, 3.0, 10).done_bytes == 10


def test_last():
    """A file that has its name is there as a whole; one that was never reported before had no rate."""
    done = Tally().already_there(
        RemoteFile(name=RemoteName("a"), url="http://h/a"), "/a", size=9, sha256="0" * 64, verified="computed"
    )
    event = Tracker(0.0).last(5.0, done)
    assert (event.phase, event.done_bytes, event.hashed_bytes, event.size) == ("done", 9, 9, 9)
    assert (event.bytes_per_s, event.eta_s, event.lanes) == (0.0, None, 0)
